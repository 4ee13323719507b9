#define _GNU_SOURCE
#include "platform.h"

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
