// Records what a program does to the files below one folder, and makes calls fail when told to.
//
// Loaded by LD_PRELOAD. ROOST_RECORDER names a folder with the file `control` (struct control,
// shared with the test) and gets the file `trace`; ROOST_RECORDER_ROOT is the folder to watch.
//
// The trace is a row of records, numbered from 1 in the order in which the calls took effect: all
// calls but syncs run under one lock. A sync has two records, its beginning and its end: it makes
// durable what was recorded before its beginning, and that holds from its end on. A write through
// a descriptor with O_DSYNC is followed by a record from which on it is durable.
//
// control->sequence is the number of the last record. Who reads it after an acknowledgement knows
// that all which the acknowledgement relied on has a number up to that one.
//
// What can't be recorded (shared writable maps, stdio) leaves a record of its own, and the test
// compares the folder with the trace at the end, so that a call not listed here is noticed.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// Kinds of records; disk.py has the same numbers.
enum kind {
    WRITE = 1, DURABLE, TRUNCATE, ALLOCATE, SYNC_BEGIN, SYNC_END, CREATE, MAKE_FOLDER, RENAME,
    UNLINK, LINK, UNSEEN, FAULT
};

// Calls that can fail, as bits of control->calls; faults.py has the same.
enum call {
    CALL_PWRITE = 1, CALL_PWRITEV = 2, CALL_WRITE = 4, CALL_FDATASYNC = 8, CALL_FSYNC = 16,
    CALL_OPEN = 32, CALL_FTRUNCATE = 64, CALL_FALLOCATE = 128, CALL_RANGE_SYNC = 256,
    CALL_MMAP = 512, CALL_RENAME = 1024, CALL_UNLINK = 2048, CALL_MKDIR = 4096
};

struct control {
    _Atomic uint64_t sequence;   // of the last record
    _Atomic uint32_t syncMicros; // how long a sync takes at least
    _Atomic uint32_t calls;      // which calls fail
    _Atomic int32_t skip;        // so many go through before
    _Atomic int32_t times;       // so many fail
    _Atomic int32_t error;       // errno; 0: half of the bytes are written
    _Atomic uint32_t hits;       // so many have failed
    _Atomic uint32_t seen;       // calls that could have
};

struct record {
    uint32_t kind, flags;
    uint64_t inode;
    int64_t offset;  // of a write; the size of a truncation; the record that an end belongs to
    uint64_t length; // of a write or allocation
    uint32_t bytes;  // that follow
    int32_t result;  // 0 or errno
};

static struct control *control;
static int trace = -1;
static char root[PATH_MAX];
static size_t rootLength;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

enum { TABLE = 1 << 14 };
static _Atomic uint64_t inodes[TABLE]; // open-addressed; 0 is free

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void attach(void) {
    const char *folder = getenv("ROOST_RECORDER"), *watched = getenv("ROOST_RECORDER_ROOT");
    char path[PATH_MAX];
    if (!folder || !watched || !realpath(watched, root)) return;
    rootLength = strlen(root);
    snprintf(path, sizeof path, "%s/control", folder);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *map = (void *)syscall(
        SYS_mmap, NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map == MAP_FAILED) return;
    snprintf(path, sizeof path, "%s/trace", folder);
    trace = (int)syscall(
        SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (trace >= 0) control = map;
}

// Appends a record and numbers it; the lock is held.
static uint64_t put(struct record record, const struct iovec *parts, int count) {
    struct iovec all[IOV_MAX];
    all[0] = (struct iovec){&record, sizeof record};
    int used = 1;
    uint64_t left = record.bytes;
    for (int i = 0; i < count && left && used < IOV_MAX; i++) {
        all[used] = parts[i];
        if (all[used].iov_len > left) all[used].iov_len = left;
        left -= all[used++].iov_len;
    }
    size_t total = sizeof record + record.bytes - left;
    if (left || syscall(SYS_writev, trace, all, used) != (ssize_t)total) {
        dprintf(2, "recorder: the trace can't be written\n");
        _exit(99);
    }
    return atomic_fetch_add(&control->sequence, 1) + 1;
}

static void remember(uint64_t inode) {
    for (uint64_t i = inode * 0x9E3779B97F4A7C15u >> 50;; i = (i + 1) % TABLE) {
        uint64_t expected = 0;
        if (atomic_load(&inodes[i]) == inode) return;
        if (atomic_compare_exchange_strong(&inodes[i], &expected, inode)) return;
    }
}

static int known(uint64_t inode) {
    for (uint64_t i = inode * 0x9E3779B97F4A7C15u >> 50;; i = (i + 1) % TABLE) {
        uint64_t found = atomic_load(&inodes[i]);
        if (!found || found == inode) return found == inode;
    }
}

// The inode behind a descriptor that was opened below the root; 0 for others.
static uint64_t watched(int fd) {
    struct stat status;
    if (!control || fd < 0 || fd == trace || fstat(fd, &status) != 0) return 0;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return 0;
    return known(status.st_ino) ? status.st_ino : 0;
}

// The path below the root without the slash before it, in `found`; NULL for others.
static const char *below(int folder, const char *path, char *found) {
    if (!control || !path) return NULL;
    char whole[PATH_MAX * 2];
    if (path[0] == '/') {
        snprintf(whole, sizeof whole, "%s", path);
    } else if (folder == AT_FDCWD) {
        if (!getcwd(whole, PATH_MAX)) return NULL;
        snprintf(whole + strlen(whole), PATH_MAX, "/%s", path);
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t count = readlink(link, whole, PATH_MAX);
        if (count < 0) return NULL;
        snprintf(whole + count, PATH_MAX, "/%s", path);
    }
    // Double slashes and dots that stand for nothing.
    size_t to = 0;
    for (size_t from = 0; whole[from]; from++) {
        if (whole[from] == '/' && (whole[from + 1] == '/' || !whole[from + 1])) continue;
        if (whole[from] == '/' && whole[from + 1] == '.'
            && (whole[from + 2] == '/' || !whole[from + 2])) {
            from++;
            continue;
        }
        whole[to++] = whole[from];
    }
    whole[to] = 0;
    if (to <= rootLength || strncmp(whole, root, rootLength) || whole[rootLength] != '/')
        return NULL;
    snprintf(found, PATH_MAX, "%s", whole + rootLength + 1);
    return found;
}

// Whether this call is to fail: -1 for no, else the errno.
static int failure(enum call call) {
    if (!(atomic_load(&control->calls) & call)) return -1;
    atomic_fetch_add(&control->seen, 1);
    if (atomic_load(&control->times) <= 0 || atomic_fetch_sub(&control->skip, 1) > 0) return -1;
    if (atomic_fetch_sub(&control->times, 1) <= 0) return -1;
    atomic_fetch_add(&control->hits, 1);
    int error = atomic_load(&control->error);
    pthread_mutex_lock(&lock);
    put((struct record){.kind = FAULT, .offset = call, .result = error}, NULL, 0);
    pthread_mutex_unlock(&lock);
    return error;
}

static void pause_for_disk(void) {
    unsigned micros = atomic_load(&control->syncMicros);
    if (micros) usleep(micros);
}

// Records a write that took place; the lock is held, and let go of.
static void wrote(
    int fd, uint64_t inode, const struct iovec *parts, int count, int64_t offset, ssize_t result,
    int isDurable
) {
    int saved = errno;
    uint64_t number = 0;
    if (result > 0) {
        if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - result;
        number = put((struct record){.kind = WRITE, .inode = inode, .offset = offset,
                                     .length = result, .bytes = result}, parts, count);
    }
    pthread_mutex_unlock(&lock);
    int flags = number ? fcntl(fd, F_GETFL) : 0;
    if (number && (isDurable || (flags & O_DSYNC))) {
        pause_for_disk();
        pthread_mutex_lock(&lock);
        put((struct record){.kind = DURABLE, .inode = inode, .offset = number}, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    errno = saved;
}

// The first half of what is to be written, for a write cut short.
static int half(const struct iovec *parts, int count, struct iovec *kept) {
    size_t total = 0;
    for (int i = 0; i < count; i++) total += parts[i].iov_len;
    size_t left = total / 2;
    int used = 0;
    for (int i = 0; i < count && left; i++) {
        kept[used] = parts[i];
        if (kept[used].iov_len > left) kept[used].iov_len = left;
        left -= kept[used++].iov_len;
    }
    return used;
}

// All writes: at `offset`, or where the descriptor stands (-1).
static ssize_t write_parts(
    int fd, const struct iovec *parts, int count, int64_t offset, int flags, enum call call
) {
    REAL(ssize_t, pwritev2, int, const struct iovec *, int, off_t, int);
    uint64_t inode = watched(fd);
    if (!inode) return real(fd, parts, count, offset, flags);
    int error = failure(call);
    if (error > 0) return errno = error, -1;
    struct iovec kept[IOV_MAX];
    if (error == 0) {
        count = half(parts, count, kept);
        parts = kept;
    }
    pthread_mutex_lock(&lock);
    ssize_t result = real(fd, parts, count, offset, flags);
    wrote(fd, inode, parts, count, offset, result, flags & (RWF_DSYNC | RWF_SYNC));
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    struct iovec part = {(void *)bytes, count};
    return write_parts(fd, &part, 1, offset, 0, CALL_PWRITE);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return pwrite(fd, bytes, count, offset);
}
ssize_t write(int fd, const void *bytes, size_t count) {
    if (!watched(fd)) {
        REAL(ssize_t, write, int, const void *, size_t);
        return real(fd, bytes, count);
    }
    struct iovec part = {(void *)bytes, count};
    return write_parts(fd, &part, 1, -1, 0, CALL_WRITE);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!watched(fd)) {
        REAL(ssize_t, writev, int, const struct iovec *, int);
        return real(fd, parts, count);
    }
    return write_parts(fd, parts, count, -1, 0, CALL_WRITE);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return write_parts(fd, parts, count, offset, 0, CALL_PWRITEV);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return write_parts(fd, parts, count, offset, 0, CALL_PWRITEV);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return write_parts(fd, parts, count, offset, flags, CALL_PWRITEV);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    return write_parts(fd, parts, count, offset, flags, CALL_PWRITEV);
}

static void unseen(uint64_t inode, const char *what) {
    struct iovec part = {(void *)what, strlen(what)};
    pthread_mutex_lock(&lock);
    put((struct record){.kind = UNSEEN, .inode = inode, .bytes = part.iov_len}, &part, 1);
    pthread_mutex_unlock(&lock);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
    REAL(ssize_t, sendfile, int, int, off_t *, size_t);
    if (watched(to)) return errno = ENOSYS, -1;
    return real(to, from, offset, count);
}
ssize_t copy_file_range(
    int from, off64_t *fromOffset, int to, off64_t *toOffset, size_t count, unsigned flags
) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    if (watched(to)) return errno = ENOSYS, -1;
    return real(from, fromOffset, to, toOffset, count, flags);
}

// Syncs.

static int sync_file(int fd, int (*real)(int), enum call call) {
    uint64_t inode = watched(fd);
    if (!inode) return real(fd);
    int error = failure(call);
    if (error > 0) return errno = error, -1;
    pthread_mutex_lock(&lock);
    uint64_t begin = put((struct record){.kind = SYNC_BEGIN, .inode = inode}, NULL, 0);
    pthread_mutex_unlock(&lock);
    pause_for_disk();
    int result = real(fd), saved = errno;
    pthread_mutex_lock(&lock);
    put((struct record){.kind = SYNC_END, .inode = inode, .offset = begin,
                        .result = result ? saved : 0}, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return sync_file(fd, real, CALL_FDATASYNC);
}
int fsync(int fd) {
    REAL(int, fsync, int);
    return sync_file(fd, real, CALL_FSYNC);
}
int syncfs(int fd) {
    REAL(int, syncfs, int);
    if (watched(fd)) unseen(watched(fd), "syncfs");
    return real(fd);
}
// Promises nothing: the file's size and the disk's cache are left out of it.
int sync_file_range(int fd, off64_t offset, off64_t count, unsigned flags) {
    REAL(int, sync_file_range, int, off64_t, off64_t, unsigned);
    uint64_t inode = watched(fd);
    if (inode) {
        int error = failure(CALL_RANGE_SYNC);
        if (error > 0) return errno = error, -1;
    }
    return real(fd, offset, count, flags);
}

// Sizes.

static int resize(uint64_t inode, int64_t size, int result) {
    int saved = errno;
    if (result == 0)
        put((struct record){.kind = TRUNCATE, .inode = inode, .offset = size}, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int ftruncate(int fd, off_t size) {
    REAL(int, ftruncate, int, off_t);
    uint64_t inode = watched(fd);
    if (!inode) return real(fd, size);
    int error = failure(CALL_FTRUNCATE);
    if (error > 0) return errno = error, -1;
    pthread_mutex_lock(&lock);
    return resize(inode, size, real(fd, size));
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int truncate(const char *path, off_t size) {
    REAL(int, truncate, const char *, off_t);
    char name[PATH_MAX];
    struct stat status;
    if (!below(AT_FDCWD, path, name) || stat(path, &status) != 0) return real(path, size);
    pthread_mutex_lock(&lock);
    return resize(status.st_ino, size, real(path, size));
}
int truncate64(const char *path, off64_t size) { return truncate(path, size); }

// `result` is 0, -1 with errno, or the errno.
static int allocated(uint64_t inode, int mode, off_t offset, off_t length, int result) {
    int saved = errno;
    if (result == 0)
        put((struct record){.kind = ALLOCATE, .flags = mode, .inode = inode, .offset = offset,
                            .length = length}, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
    REAL(int, fallocate, int, int, off_t, off_t);
    uint64_t inode = watched(fd);
    if (!inode) return real(fd, mode, offset, length);
    int error = failure(CALL_FALLOCATE);
    if (error > 0) return errno = error, -1;
    pthread_mutex_lock(&lock);
    return allocated(inode, mode, offset, length, real(fd, mode, offset, length));
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    return fallocate(fd, mode, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) {
    REAL(int, posix_fallocate, int, off_t, off_t);
    uint64_t inode = watched(fd);
    if (!inode) return real(fd, offset, length);
    int error = failure(CALL_FALLOCATE);
    if (error > 0) return error;
    pthread_mutex_lock(&lock);
    return allocated(inode, 0, offset, length, real(fd, offset, length));
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    return posix_fallocate(fd, offset, length);
}

// Names.

static int open_file(int folder, const char *path, int flags, mode_t mode) {
    REAL(int, openat, int, const char *, int, ...);
    char name[PATH_MAX];
    struct stat status;
    if (!below(folder, path, name)) {
        // The root itself, to be synced.
        int fd = real(folder, path, flags, mode);
        char found[PATH_MAX];
        if (control && fd >= 0 && (flags & O_ACCMODE) == O_RDONLY && path[0] == '/'
            && realpath(path, found) && !strcmp(found, root) && fstat(fd, &status) == 0)
            remember(status.st_ino);
        return fd;
    }
    int error = failure(CALL_OPEN);
    if (error > 0) return errno = error, -1;
    pthread_mutex_lock(&lock);
    int isNew = (flags & O_CREAT) && fstatat(folder, path, &status, 0) != 0;
    int fd = real(folder, path, flags, mode), saved = errno;
    if (fd >= 0 && fstat(fd, &status) == 0) {
        remember(status.st_ino);
        struct iovec part = {name, strlen(name)};
        if (isNew)
            put((struct record){.kind = CREATE, .inode = status.st_ino, .bytes = part.iov_len},
                &part, 1);
        else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY)
            put((struct record){.kind = TRUNCATE, .inode = status.st_ino}, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define OPEN_MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    OPEN_MODE(flags)
    return open_file(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    OPEN_MODE(flags)
    return open_file(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    OPEN_MODE(flags)
    return open_file(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    OPEN_MODE(flags)
    return open_file(folder, path, flags, mode);
}
int creat(const char *path, mode_t mode) {
    return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

FILE *fopen(const char *path, const char *mode) {
    REAL(FILE *, fopen, const char *, const char *);
    char name[PATH_MAX];
    if (mode[0] != 'r' && below(AT_FDCWD, path, name)) unseen(0, "fopen");
    return real(path, mode);
}

// Records a change of names that took place: one name, or an old and a new one with 0 between.
static int named(
    enum kind kind, uint64_t inode, const char *name, const char *target, int result
) {
    int saved = errno;
    if (result == 0) {
        struct iovec parts[3] = {{(void *)name, strlen(name)}, {"", 1}, {(void *)target, 0}};
        if (target) parts[2].iov_len = strlen(target);
        uint32_t bytes = parts[0].iov_len + (target ? 1 + parts[2].iov_len : 0);
        put((struct record){.kind = kind, .inode = inode, .bytes = bytes}, parts, target ? 3 : 1);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

static int rename_file(int fromFolder, const char *from, int toFolder, const char *to,
                       unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    char name[PATH_MAX], target[PATH_MAX];
    struct stat status = {0};
    if (!below(fromFolder, from, name) || !below(toFolder, to, target))
        return real(fromFolder, from, toFolder, to, flags);
    int error = failure(CALL_RENAME);
    if (error > 0) return errno = error, -1;
    pthread_mutex_lock(&lock);
    fstatat(fromFolder, from, &status, AT_SYMLINK_NOFOLLOW);
    return named(RENAME, status.st_ino, name, target,
                 real(fromFolder, from, toFolder, to, flags));
}
int rename(const char *from, const char *to) {
    return rename_file(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int fromFolder, const char *from, int toFolder, const char *to) {
    return rename_file(fromFolder, from, toFolder, to, 0);
}
int renameat2(int fromFolder, const char *from, int toFolder, const char *to, unsigned flags) {
    return rename_file(fromFolder, from, toFolder, to, flags);
}

int linkat(int fromFolder, const char *from, int toFolder, const char *to, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    char name[PATH_MAX], target[PATH_MAX];
    struct stat status = {0};
    if (!below(fromFolder, from, name) || !below(toFolder, to, target))
        return real(fromFolder, from, toFolder, to, flags);
    pthread_mutex_lock(&lock);
    fstatat(fromFolder, from, &status, AT_SYMLINK_NOFOLLOW);
    return named(LINK, status.st_ino, name, target, real(fromFolder, from, toFolder, to, flags));
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int folder, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char name[PATH_MAX];
    struct stat status = {0};
    if (!below(folder, path, name)) return real(folder, path, flags);
    int error = failure(CALL_UNLINK);
    if (error > 0) return errno = error, -1;
    pthread_mutex_lock(&lock);
    fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW);
    return named(UNLINK, status.st_ino, name, NULL, real(folder, path, flags));
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    struct stat status;
    int isFolder = lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
    return unlinkat(AT_FDCWD, path, isFolder ? AT_REMOVEDIR : 0);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    char name[PATH_MAX];
    struct stat status = {0};
    if (!below(folder, path, name)) return real(folder, path, mode);
    int error = failure(CALL_MKDIR);
    if (error > 0) return errno = error, -1;
    pthread_mutex_lock(&lock);
    int result = real(folder, path, mode), saved = errno;
    if (result == 0 && fstatat(folder, path, &status, 0) == 0) remember(status.st_ino);
    errno = saved;
    return named(MAKE_FOLDER, status.st_ino, name, NULL, result);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

// Maps.

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    uint64_t inode = flags & MAP_ANONYMOUS ? 0 : watched(fd);
    if (inode) {
        int error = failure(CALL_MMAP);
        if (error > 0) return errno = error, MAP_FAILED;
        if ((flags & MAP_SHARED) && (protection & PROT_WRITE)) unseen(inode, "mmap");
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(address, length, protection, flags, fd, offset);
}
