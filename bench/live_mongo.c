/* Roost's live queries over MongoDB's protocol. A subscriber asks once with exhaustAllowed, and the
 * server answers as often as there is something. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bson.h"
#include "live.h"

enum {
    HEADER_BYTES = 16,
    BODY_AT = 21, /* flags and the section's kind are between */
    OP_MSG = 2013,
    EXHAUST_ALLOWED = 1 << 16,
    WAIT_MS = 300000, /* how long a getMore without an answer waits */
    HOLD_CONNECTIONS = 50,
};

static size_t begin_message(struct buffer *out, uint32_t flags)
{
    out->length = 0;
    buffer_reserve(out, 512);
    static const uint8_t zeros[BODY_AT];
    buffer_append(out, zeros, sizeof zeros);
    store_le32(out->bytes + 4, 1); /* request id */
    store_le32(out->bytes + 12, OP_MSG);
    store_le32(out->bytes + HEADER_BYTES, flags);
    return bson_begin(out);
}

static void end_message(struct buffer *out, size_t body)
{
    bson_string(out, "$db", "bench");
    bson_end(out, body);
    store_le32(out->bytes, (uint32_t)out->length);
}

/* The first message received, if it is whole: its body. */
static bool next_message(struct buffer *in, size_t at, const uint8_t **body, size_t *size,
                         size_t *length)
{
    if (in->length - at < BODY_AT) {
        return false;
    }
    *length = load_le32(in->bytes + at);
    if (*length < BODY_AT + 5 || load_le32(in->bytes + at + 12) != OP_MSG) {
        die("the server doesn't speak MongoDB's protocol");
    }
    *body = in->bytes + at + BODY_AT;
    *size = *length - BODY_AT;
    return in->length - at >= *length;
}

static void refuse(const uint8_t *body, size_t size)
{
    struct bson_walk walk;
    struct bson_field field;
    if (bson_walk_begin(&walk, body, size)) {
        while (bson_walk_next(&walk, &field)) {
            if (strcmp(field.name, "errmsg") == 0) {
                die("the server answers: %s", (const char *)field.value + 4);
            }
        }
    }
    die("the server answers an error");
}

/* ---- events ---- */

static void read_event(struct peer *peer, const struct bson_field *event, bool *ready)
{
    struct bson_walk walk, inside;
    struct bson_field field, part;
    if (!bson_walk_begin(&walk, event->value, event->size)) {
        return;
    }
    while (bson_walk_next(&walk, &field)) {
        if (field.type == BSON_STRING && strcmp(field.name, "op") == 0) {
            *ready |= strcmp((const char *)field.value + 4, "ready") == 0;
        } else if (strcmp(field.name, "doc") == 0 &&
                   bson_walk_begin(&inside, field.value, field.size)) {
            while (bson_walk_next(&inside, &part)) {
                if (part.type == BSON_INT64 && strcmp(part.name, "n") == 0) {
                    live_delivered(peer, load_le64(part.value));
                    return;
                }
            }
        }
    }
}

/* Tells the events of a reply; notes the cursor, and whether the result is whole. */
static void read_reply(struct peer *peer, const uint8_t *body, size_t size, bool *ready)
{
    struct bson_walk walk, inside, batch;
    struct bson_field field, part, event;
    bool is_good = false;
    if (!bson_walk_begin(&walk, body, size)) {
        die("a reply is malformed");
    }
    while (bson_walk_next(&walk, &field)) {
        if (strcmp(field.name, "ok") == 0) {
            is_good = bson_number(&field) == 1;
        } else if (strcmp(field.name, "cursor") == 0 &&
                   bson_walk_begin(&inside, field.value, field.size)) {
            while (bson_walk_next(&inside, &part)) {
                if (part.type == BSON_INT64 && strcmp(part.name, "id") == 0) {
                    peer->cursor = load_le64(part.value);
                } else if (part.type == BSON_ARRAY &&
                           bson_walk_begin(&batch, part.value, part.size)) {
                    while (bson_walk_next(&batch, &event)) {
                        read_event(peer, &event, ready);
                    }
                }
            }
        }
    }
    if (!is_good) {
        refuse(body, size);
    }
}

/* ---- subscribers ---- */

static void put_get_more(struct buffer *out, uint64_t cursor, uint32_t flags)
{
    size_t body = begin_message(out, flags);
    bson_int64(out, "getMore", (int64_t)cursor);
    bson_string(out, "collection", "docs");
    bson_int32(out, "maxTimeMS", WAIT_MS);
    end_message(out, body);
}

static void send_request(struct peer *peer, const struct buffer *out)
{
    if (!send_all(peer->fd, out->bytes, out->length)) {
        die("subscriber %u: can't send", peer->index);
    }
}

/* Sends a command and reads its reply, on a blocking socket. */
static void ask(struct peer *peer, const struct buffer *out, bool *ready)
{
    send_request(peer, out);
    const uint8_t *body;
    size_t size, length;
    while (!next_message(&peer->in, 0, &body, &size, &length)) {
        live_fill(peer);
    }
    read_reply(peer, body, size, ready);
    live_consume(&peer->in, length);
}

static void put_live(struct buffer *out, const char *field, uint32_t low, uint32_t high)
{
    size_t body = begin_message(out, 0);
    bson_string(out, "live", "docs");
    size_t filter = bson_begin_field(out, BSON_DOCUMENT, "filter");
    if (low == high) {
        bson_int32(out, field, (int32_t)low);
    } else {
        size_t range = bson_begin_field(out, BSON_DOCUMENT, field);
        bson_int32(out, "$gte", (int32_t)low);
        bson_int32(out, "$lt", (int32_t)high);
        bson_end(out, range);
    }
    bson_end(out, filter);
    end_message(out, body);
}

static void subscribe(struct peer *peer, const struct live_settings *settings)
{
    (void)settings;
    struct buffer out = {0};
    bool ready = false;
    put_live(&out, "topic", peer->topic, peer->topic);
    ask(peer, &out, &ready);
    while (!ready) {
        put_get_more(&out, peer->cursor, 0);
        ask(peer, &out, &ready);
    }
    put_get_more(&out, peer->cursor, EXHAUST_ALLOWED);
    send_request(peer, &out);
    buffer_free(&out);
}

static void receive(struct peer *peer)
{
    const uint8_t *body;
    size_t size, length, at = 0;
    bool ready = false;
    while (next_message(&peer->in, at, &body, &size, &length)) {
        read_reply(peer, body, size, &ready);
        at += length;
    }
    live_consume(&peer->in, at);
}

void live_hold(int port, uint32_t count)
{
    struct buffer out = {0};
    static struct peer peers[HOLD_CONNECTIONS];
    for (uint32_t i = 0; i < HOLD_CONNECTIONS; i++) {
        peers[i].fd = connect_to(port);
    }
    for (uint32_t i = 0; i < count; i++) {
        bool ready = false;
        if (i % 2 == 0) {
            put_live(&out, "topic", 1000000000 + i, 1000000000 + i);
        } else {
            put_live(&out, "score", 1000000000 + 10 * i, 1000000000 + 10 * i + 15);
        }
        ask(&peers[i % HOLD_CONNECTIONS], &out, &ready);
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

/* ---- writers ---- */

static void open_writer(struct peer *peer, const struct live_settings *settings)
{
    (void)peer, (void)settings;
}

static void write_commit(struct buffer *out, uint32_t document, uint32_t topic, uint64_t commit)
{
    (void)topic;
    size_t body = begin_message(out, 0);
    bson_string(out, "update", "docs");
    size_t list = bson_begin_field(out, BSON_ARRAY, "updates");
    size_t update = bson_begin_field(out, BSON_DOCUMENT, "0");
    size_t query = bson_begin_field(out, BSON_DOCUMENT, "q");
    bson_int32(out, "_id", (int32_t)document);
    bson_end(out, query);
    size_t change = bson_begin_field(out, BSON_DOCUMENT, "u");
    size_t fields = bson_begin_field(out, BSON_DOCUMENT, "$set");
    bson_int64(out, "n", (int64_t)commit);
    bson_end(out, fields);
    bson_end(out, change);
    bson_end(out, update);
    bson_end(out, list);
    end_message(out, body);
}

static bool written(struct peer *peer)
{
    const uint8_t *body;
    size_t size, length;
    if (!next_message(&peer->in, 0, &body, &size, &length)) {
        return false;
    }
    struct bson_walk walk;
    struct bson_field field;
    bool is_modified = false;
    if (bson_walk_begin(&walk, body, size)) {
        while (bson_walk_next(&walk, &field)) {
            is_modified |= strcmp(field.name, "nModified") == 0 && bson_number(&field) == 1;
        }
    }
    if (!is_modified) {
        refuse(body, size);
    }
    live_consume(&peer->in, length);
    return true;
}

const struct live_protocol mongo_live = {
    .name = "mongo",
    .open_writer = open_writer,
    .subscribe = subscribe,
    .write = write_commit,
    .written = written,
    .receive = receive,
};
