/* A byte buffer that grows, and numbers in both byte orders. */
#ifndef BENCH_BUFFER_H
#define BENCH_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
};

/* Makes room for `more` bytes behind what is there. */
void buffer_reserve(struct buffer *buffer, size_t more);
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_byte(struct buffer *buffer, uint8_t byte);
/* With its terminating zero. */
void buffer_string(struct buffer *buffer, const char *string);
void buffer_free(struct buffer *buffer);

static inline void store_le32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }
static inline void store_le64(uint8_t *at, uint64_t value) { memcpy(at, &value, 8); }

static inline uint32_t load_le32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static inline uint64_t load_le64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

static inline void store_be16(uint8_t *at, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(at, &value, 2);
}

static inline void store_be32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, 4);
}

static inline void store_be64(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, 8);
}

static inline uint32_t load_be32(const uint8_t *at) { return __builtin_bswap32(load_le32(at)); }

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "these helpers assume a little-endian machine"
#endif

#endif
