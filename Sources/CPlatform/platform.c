#define _GNU_SOURCE
#include "platform.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>

int roost_allowed_processors(void) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
    return CPU_COUNT(&allowed);
}

int roost_map_blocks_from(int bytes) {
    return mallopt(M_MMAP_THRESHOLD, bytes);
}

int roost_write_back(int descriptor, int64_t offset, int64_t count) {
    return sync_file_range(
        descriptor, offset, count,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}
