#ifndef ROOST_PLATFORM_H
#define ROOST_PLATFORM_H

#include <stdint.h>
// Not in Swift's Glibc module.
#include <sys/epoll.h>
#include <sys/eventfd.h>

// What glibc declares only under _GNU_SOURCE, which Swift's Glibc module is built without.

/// How many processors the calling process's affinity mask allows; 0 where it can't be told.
int roost_allowed_processors(void);

/// Has glibc map blocks of `bytes` and more apart, so that freeing one gives it back to the system.
/// 0 where it can't.
int roost_map_blocks_from(int bytes);

/* Has the changed pages of a part of a file written, and waits for them; makes nothing durable.
 * 0, or -1 and errno. */
int roost_write_back(int descriptor, int64_t offset, int64_t count);

#endif
