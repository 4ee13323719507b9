/* The documents that every server is given: made from their number alone. */
#ifndef BENCH_DOCUMENT_H
#define BENCH_DOCUMENT_H

#include "buffer.h"

enum {
    DOCUMENT_BYTES = 490,   /* of each as BSON */
    DOCUMENT_STATUSES = 10,
    DOCUMENT_SCORES = 10000, /* each score belongs to 10 of 100,000 documents */
    RANGE_DOCUMENTS = 1000, /* what the range query spans before its limit */
    RANGE_LIMIT = 20,
    JOINED_DOCUMENTS = 10000, /* the first ones, each joined with one by createdAt */
};

extern const char *const document_statuses[DOCUMENT_STATUSES];

uint32_t document_score(uint32_t number);
/* Milliseconds since 1970; a minute apart, in the order of the numbers. */
int64_t document_created(uint32_t number);
/* The same as ISO 8601 text, always 24 characters and a zero. */
void document_created_text(uint32_t number, char text[25]);

void document_bson(struct buffer *out, uint32_t number);
/* The same fields as JSON text, without a terminating zero. */
void document_json(struct buffer *out, uint32_t number);

#endif
