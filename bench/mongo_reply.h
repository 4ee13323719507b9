/* What is read of a reply of MongoDB's protocol, to check it. */
#ifndef BENCH_MONGO_REPLY_H
#define BENCH_MONGO_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mongo_reply {
    bool ok;
    bool errors;       /* writeErrors or writeConcernError */
    double n;
    double modified;
    int64_t cursor;
    uint32_t batch;    /* documents in the batch */
    size_t first_size; /* bytes of the first */
    int64_t first_id;
    double totals;     /* sum of the batch's fields `total` */
};

/* False when the reply isn't `ok: 1` without write errors. `with_totals` adds up `total`. */
bool mongo_read_reply(struct mongo_reply *reply, const uint8_t *body, size_t length,
                      bool with_totals);
/* Says on stderr, once, what a refused request got as its answer. */
void mongo_explain(const uint8_t *body, size_t length);

#endif
