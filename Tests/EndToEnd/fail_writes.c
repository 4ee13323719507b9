// Makes system calls on the data file fail when told to: loaded by LD_PRELOAD.
//
// ROOST_FAULTS names a file of five int32, shared with the test:
//     kinds   bits: 1 writes of data, 2 writes of the header, 4 syncs; 8 writes and 16 syncs of the
//             redo log; 32 writes and 64 syncs of the file checkpoint
//     skip    so many calls go through before the first that fails
//     times   so many fail; 0 is off
//     error   errno of those; 0: only half of the bytes are written
//     hits    how many failed so far
// Only calls on descriptors of files called data.mdb, *.log and checkpoint count.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DATA = 1, HEADER = 2, SYNC = 4, LOG = 8, CHECKPOINT = 32, SYNC_OF = 2 };

struct control {
    _Atomic int32_t kinds, skip, times, error, hits;
};

static struct control *control;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("ROOST_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) control = map;
    close(fd);
}

// What a file's calls are counted as: DATA, LOG, CHECKPOINT, or 0.
static int kind_of_file(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t count = readlink(link, path, sizeof path);
    if (count >= 8 && !memcmp(path + count - 8, "data.mdb", 8)) return DATA;
    if (count >= 10 && !memcmp(path + count - 10, "checkpoint", 10)) return CHECKPOINT;
    return count >= 4 && !memcmp(path + count - 4, ".log", 4) ? LOG : 0;
}

// The header is written through a descriptor of its own, or at the file's beginning.
static int kind_of_write(int fd, off_t offset) {
    return (fcntl(fd, F_GETFL) & O_DSYNC) || (offset >= 0 && offset < 8192) ? HEADER : DATA;
}

// Whether this call is to fail: -1 for no, else the errno.
static int failure(int fd, int kind) {
    if (!control || atomic_load(&control->times) <= 0) return -1;
    int file = kind_of_file(fd);
    if (file != DATA) kind = kind == SYNC ? file * SYNC_OF : file;
    if (!(atomic_load(&control->kinds) & kind)) return -1;
    if (atomic_fetch_sub(&control->skip, 1) > 0) return -1;
    if (atomic_fetch_sub(&control->times, 1) <= 0) return -1;
    atomic_fetch_add(&control->hits, 1);
    return atomic_load(&control->error);
}

#define REAL(name, type, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    REAL(pwrite, ssize_t, int, const void *, size_t, off_t);
    int error = failure(fd, kind_of_write(fd, offset));
    if (error > 0) return errno = error, -1;
    return real(fd, bytes, error == 0 ? count / 2 : count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return pwrite(fd, bytes, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(write, ssize_t, int, const void *, size_t);
    int error = failure(fd, kind_of_write(fd, -1));
    if (error > 0) return errno = error, -1;
    return real(fd, bytes, error == 0 ? count / 2 : count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev, ssize_t, int, const struct iovec *, int);
    int error = failure(fd, kind_of_write(fd, -1));
    if (error > 0) return errno = error, -1;
    return real(fd, parts, error == 0 ? (count + 1) / 2 : count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    REAL(pwritev, ssize_t, int, const struct iovec *, int, off_t);
    int error = failure(fd, kind_of_write(fd, offset));
    if (error > 0) return errno = error, -1;
    return real(fd, parts, error == 0 ? (count + 1) / 2 : count, offset);
}

int fdatasync(int fd) {
    REAL(fdatasync, int, int);
    int error = failure(fd, SYNC);
    return error > 0 ? (errno = error, -1) : real(fd);
}

int fsync(int fd) {
    REAL(fsync, int, int);
    int error = failure(fd, SYNC);
    return error > 0 ? (errno = error, -1) : real(fd);
}
