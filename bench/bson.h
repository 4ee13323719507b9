/* As much BSON as requests and the checks of replies need. */
#ifndef BENCH_BSON_H
#define BENCH_BSON_H

#include <stdbool.h>

#include "buffer.h"

enum {
    BSON_DOUBLE = 0x01,
    BSON_STRING = 0x02,
    BSON_DOCUMENT = 0x03,
    BSON_ARRAY = 0x04,
    BSON_BINARY = 0x05,
    BSON_BOOL = 0x08,
    BSON_DATE = 0x09,
    BSON_INT32 = 0x10,
    BSON_INT64 = 0x12,
};

/* Writing. Functions that write a number return where in the buffer it lies, for patching. */
size_t bson_begin(struct buffer *buffer);
size_t bson_begin_field(struct buffer *buffer, uint8_t type, const char *name);
void bson_end(struct buffer *buffer, size_t start);
size_t bson_int32(struct buffer *buffer, const char *name, int32_t value);
size_t bson_int64(struct buffer *buffer, const char *name, int64_t value);
size_t bson_date(struct buffer *buffer, const char *name, int64_t milliseconds);
void bson_double(struct buffer *buffer, const char *name, double value);
void bson_bool(struct buffer *buffer, const char *name, bool value);
void bson_string(struct buffer *buffer, const char *name, const char *value);
size_t bson_uuid(struct buffer *buffer, const char *name, const uint8_t uuid[16]);

/* Reading: a walk over the fields of one document. */
struct bson_walk {
    const uint8_t *at;
    const uint8_t *end; /* behind the last field */
};

struct bson_field {
    uint8_t type;
    const char *name;
    const uint8_t *value;
    size_t size;
};

/* False when the bytes are no document. */
bool bson_walk_begin(struct bson_walk *walk, const uint8_t *bytes, size_t length);
/* False at the end, and at the first malformed field. */
bool bson_walk_next(struct bson_walk *walk, struct bson_field *field);
/* Any numeric type (and bool) as a double; 0 for the others. */
double bson_number(const struct bson_field *field);

#endif
