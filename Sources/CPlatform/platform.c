#define _GNU_SOURCE
#include "platform.h"

#include <sched.h>

int roost_allowed_processors(void) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
    return CPU_COUNT(&allowed);
}
