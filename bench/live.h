/* What the parts of the delivery benchmark share: settings, connections, protocols. */
#ifndef BENCH_LIVE_H
#define BENCH_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "socket.h"

/* Documents are numbered from 0; document d belongs to topic d % topics, and a query asks for one
 * topic. A write puts its commit number, counted from 1, into its document. */
struct live_settings {
    const char *label;
    int port;
    int server_pid;
    uint32_t topics;
    uint32_t documents;
    uint32_t subscribers; /* of each topic */
    uint32_t writers;
    double rate;     /* commits a second; 0: as fast as the window allows */
    uint32_t window; /* commits that may be on their way to subscribers */
    double seconds;
    double warmup;
};

enum { FILLER_BYTES = 200 }; /* of text in each document, or payload */

struct peer {
    int fd;
    bool is_writer;
    uint32_t index;      /* among the writers, or the subscribers */
    uint32_t topic;      /* a subscriber's */
    struct buffer in;    /* received and not yet consumed */
    /* A writer's: */
    struct buffer out;
    uint64_t commit;     /* on its way; 0: none */
    uint32_t document;   /* the next to be written: one of those that are this writer's own */
    /* A subscriber's: */
    uint64_t *last;      /* of each writer, the newest commit that it was told */
    uint64_t cursor;     /* MongoDB's number of the live query */
};

/* One way of talking to a server. */
struct live_protocol {
    const char *name;
    /* On connected, still blocking sockets; these end the process where they fail. */
    void (*open_writer)(struct peer *peer, const struct live_settings *settings);
    void (*subscribe)(struct peer *peer, const struct live_settings *settings);
    /* The request that puts `commit` into `document`. */
    void (*write)(struct buffer *out, uint32_t document, uint32_t topic, uint64_t commit);
    /* Consumes the answer to a write: true when it is whole. Ends the process on an error. */
    bool (*written)(struct peer *peer);
    /* Consumes what is whole, and calls live_delivered for each commit that is told. */
    void (*receive)(struct peer *peer);
};

extern const struct live_protocol mongo_live;
extern const struct live_protocol redis_live;
extern const struct live_protocol postgres_live;
extern const struct live_protocol pocketbase_live;

/* A subscriber was told that a document has that commit number. */
void live_delivered(struct peer *peer, uint64_t commit);

/* Opens live queries that nothing matches, says "ready" and holds them until it is killed. */
_Noreturn void live_hold(int port, uint32_t count);

/* Drops the first bytes of what was received. */
void live_consume(struct buffer *buffer, size_t length);
/* Blocking: receives more; ends the process when the server has closed. */
void live_fill(struct peer *peer);

#endif
