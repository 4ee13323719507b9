/* What the parts of the load generator share: settings, connections, protocols. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "socket.h"

enum operation {
    OP_READ,    /* one document by _id */
    OP_EQUAL,   /* index equality, 10 documents */
    OP_RANGE,   /* indexed range of 1,000, sorted, limit 20 */
    OP_UPDATE,  /* one field of one document by _id */
    OP_COUNT,   /* count with a filter that no index serves */
    OP_GROUP,   /* group by status, sum of score, over all documents */
    OP_LOOKUP,  /* 10,000 documents joined with their equals by an index, one sum */
    OP_SCAN,    /* all documents, 1,000 a batch */
    OP_NOTHING, /* a filter that no index serves and that matches nothing */
    OP_INSERT,  /* one batch of a bulk load */
};

enum workload {
    WORK_LOAD,
    WORK_READ,
    WORK_EQUAL,
    WORK_RANGE,
    WORK_UPDATE,
    WORK_YCSB_A,
    WORK_YCSB_B,
    WORK_COUNT,
    WORK_GROUP,
    WORK_LOOKUP,
    WORK_SCAN,
    WORK_NOTHING,
};

struct settings {
    const char *protocol;
    const char *label;
    const char *workload_name;
    const char *user; /* PostgreSQL's */
    enum workload workload;
    int port;
    int connections;
    uint32_t documents;
    uint32_t batch;
    double seconds;
    double warmup;
    int server_pid;
    uint64_t seed;
    bool sessions;  /* MongoDB: send lsid as drivers do */
    bool retryable; /* MongoDB: send txnNumber with updates as drivers do by default */
};

struct connection {
    int fd;
    int index;
    enum operation operation;
    uint32_t key;          /* the document's number that the operation is about */
    uint32_t value;        /* what an update writes */
    int64_t sequence;      /* requests sent so far: request ids, txnNumber */
    struct buffer in;      /* bytes received and not yet consumed */
    struct buffer out;     /* the request */
    const struct buffer *sending; /* `out`, or a batch that was built beforehand */
    size_t sent;
    bool wants_write;      /* registered for EPOLLOUT */
    uint64_t started;      /* ns */
    uint32_t rows;         /* documents that the operation has returned so far */
    bool failed;           /* the reply says error, but hasn't ended yet */
};

enum outcome {
    REPLY_PARTIAL, /* more bytes are needed */
    REPLY_GOOD,
    REPLY_BAD,     /* complete, but an error or not the expected answer */
    REPLY_AGAIN,   /* the operation goes on: `out` holds its next request */
    REPLY_BROKEN,  /* not this protocol: the connection can't go on */
};

/* One way of talking to a server. Requests are patched templates, and replies are checked. */
struct protocol {
    const char *name;
    /* Builds templates; once. */
    void (*prepare)(const struct settings *settings);
    /* Shakes hands on a connected, still blocking socket. */
    bool (*open)(struct connection *connection, const struct settings *settings);
    /* Writes the request for `operation`, `key`, `value` into `out`; false: can't do this one. */
    bool (*request)(struct connection *connection);
    /* Writes the request that inserts documents first ... first + count - 1. */
    void (*insert)(struct buffer *out, uint32_t first, uint32_t count);
    /* Looks at what was received; `used` is how much of it is done with. */
    enum outcome (*reply)(struct connection *connection, const uint8_t *bytes, size_t length,
                          size_t *used);
};

extern const struct protocol mongo_protocol;
extern const struct protocol redis_protocol;
extern const struct protocol postgres_protocol;
extern const struct protocol ping_protocol;

/* Signs in at PostgreSQL's database `bench` and waits until it is ready for queries. */
bool postgres_sign_in(int fd, const char *user);

/* The sizes of MongoDB's point read and its reply, which the ping-pong copies. */
void mongo_read_sizes(const struct settings *settings, size_t *request, size_t *reply);

/* The other end of the ping-pong: answers until it is killed. */
int pong_serve(const struct settings *settings);

/* Runs the workload and prints one JSON line; 0 when no reply was wrong. */
int client_run(const struct settings *settings, const struct protocol *protocol);

#endif
