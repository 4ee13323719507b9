#ifndef ROOST_CHECKSUM_H
#define ROOST_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `count` bytes, continuing from `crc` (0 to begin). */
uint32_t roost_crc32c(uint32_t crc, const void *bytes, size_t count);

enum { ROOST_PREFETCH_BYTES = 1024 };

/* Asks for the cache lines of `count` bytes at once, up to a limit, so that a checksum doesn't wait
 * for one after another. */
static inline void roost_prefetch(const void *bytes, size_t count) {
    if (count > ROOST_PREFETCH_BYTES) count = ROOST_PREFETCH_BYTES;
    for (size_t offset = 0; offset < count; offset += 64) {
        __builtin_prefetch((const char *)bytes + offset);
    }
}

/* Asks for as many below `bytes`: LMDB fills a page from its end, so that is where the entry behind
 * this one mostly lies. Any address will do, since a prefetch can't fault. */
static inline void roost_prefetch_below(const void *bytes, size_t count) {
    if (count > ROOST_PREFETCH_BYTES) count = ROOST_PREFETCH_BYTES;
    for (size_t offset = 64; offset <= count; offset += 64) {
        __builtin_prefetch((const char *)bytes - offset);
    }
}

#endif
