/* Servers whose subscribers are told text: Redis' publish and subscribe, PostgreSQL's LISTEN and
 * NOTIFY, PocketBase's realtime.
 *
 * Payloads hold a mark and the commit's number in hexadecimal; subscribers look for the mark and
 * nothing else, which costs no more than reading. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"
#include "load.h"

enum { MARK_BYTES = 2, DIGITS = 16, PAYLOAD_BYTES = MARK_BYTES + DIGITS + FILLER_BYTES };

static void put_payload(struct buffer *out, uint64_t commit)
{
    char text[PAYLOAD_BYTES + 1];
    snprintf(text, sizeof text, "@@%016llx", (unsigned long long)commit);
    memset(text + MARK_BYTES + DIGITS, 'x', FILLER_BYTES);
    buffer_append(out, text, PAYLOAD_BYTES);
}

static void put_text(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static void receive(struct peer *peer)
{
    struct buffer *in = &peer->in;
    size_t at = 0;
    while (at < in->length) {
        const uint8_t *mark = memchr(in->bytes + at, '@', in->length - at);
        if (mark == NULL) {
            at = in->length;
            break;
        }
        at = (size_t)(mark - in->bytes);
        if (in->length - at < MARK_BYTES + DIGITS) {
            break;
        }
        if (mark[1] != '@') {
            at++;
            continue;
        }
        char digits[DIGITS + 1] = {0};
        memcpy(digits, mark + MARK_BYTES, DIGITS);
        live_delivered(peer, strtoull(digits, NULL, 16));
        at += MARK_BYTES + DIGITS;
    }
    live_consume(in, at);
}

/* Waits until what was received holds `text`; where that ends. */
static size_t wait_for(struct peer *peer, const char *text)
{
    for (;;) {
        const uint8_t *found = memmem(peer->in.bytes, peer->in.length, text, strlen(text));
        if (found != NULL) {
            return (size_t)(found - peer->in.bytes) + strlen(text);
        }
        live_fill(peer);
    }
}

static void send_text(struct peer *peer, const char *text)
{
    if (!send_all(peer->fd, text, strlen(text))) {
        die("subscriber %u: can't send", peer->index);
    }
}

/* ---- Redis ---- */

static void redis_open_writer(struct peer *peer, const struct live_settings *settings)
{
    (void)peer, (void)settings;
}

static void redis_subscribe(struct peer *peer, const struct live_settings *settings)
{
    (void)settings;
    char text[64];
    snprintf(text, sizeof text, "SUBSCRIBE t%u\r\n", peer->topic);
    send_text(peer, text);
    live_consume(&peer->in, wait_for(peer, ":1\r\n"));
}

static void redis_write(struct buffer *out, uint32_t document, uint32_t topic, uint64_t commit)
{
    (void)document;
    char name[16], text[96];
    int length = snprintf(name, sizeof name, "t%u", topic);
    snprintf(text, sizeof text, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n", length, name,
             PAYLOAD_BYTES);
    put_text(out, text);
    put_payload(out, commit);
    put_text(out, "\r\n");
}

static bool redis_written(struct peer *peer)
{
    const uint8_t *end = memchr(peer->in.bytes, '\n', peer->in.length);
    if (end == NULL) {
        return false;
    }
    if (peer->in.bytes[0] != ':') {
        die("redis answers %.*s", (int)peer->in.length, (const char *)peer->in.bytes);
    }
    live_consume(&peer->in, (size_t)(end - peer->in.bytes) + 1);
    return true;
}

const struct live_protocol redis_live = {
    .name = "redis",
    .open_writer = redis_open_writer,
    .subscribe = redis_subscribe,
    .write = redis_write,
    .written = redis_written,
    .receive = receive,
};

/* ---- PostgreSQL ---- */

static size_t begin_query(struct buffer *out)
{
    buffer_byte(out, 'Q');
    size_t start = out->length;
    buffer_append(out, "\0\0\0\0", 4);
    return start;
}

static void end_query(struct buffer *out, size_t start)
{
    buffer_byte(out, 0);
    store_be32(out->bytes + start, (uint32_t)(out->length - start));
}

/* Consumes messages up to ReadyForQuery; false when that hasn't come yet. */
static bool postgres_written(struct peer *peer)
{
    size_t at = 0;
    while (peer->in.length - at >= 5) {
        size_t size = 1 + (size_t)load_be32(peer->in.bytes + at + 1);
        if (peer->in.length - at < size) {
            return false;
        }
        uint8_t type = peer->in.bytes[at];
        if (type == 'E') {
            die("postgres answers %.*s", (int)size - 6, (const char *)peer->in.bytes + at + 6);
        }
        at += size;
        if (type == 'Z') {
            live_consume(&peer->in, at);
            return true;
        }
    }
    return false;
}

static void postgres_open(struct peer *peer, const struct live_settings *settings)
{
    (void)settings;
    if (!postgres_sign_in(peer->fd, "postgres")) {
        die("can't sign in at postgres");
    }
}

static void postgres_subscribe(struct peer *peer, const struct live_settings *settings)
{
    postgres_open(peer, settings);
    struct buffer out = {0};
    char text[32];
    snprintf(text, sizeof text, "LISTEN t%u", peer->topic);
    size_t query = begin_query(&out);
    put_text(&out, text);
    end_query(&out, query);
    if (!send_all(peer->fd, out.bytes, out.length)) {
        die("can't ask postgres");
    }
    do {
        live_fill(peer);
    } while (!postgres_written(peer));
    buffer_free(&out);
}

/* Both statements are one transaction, so that the notification means a durable change. */
static void postgres_write(struct buffer *out, uint32_t document, uint32_t topic, uint64_t commit)
{
    char text[64];
    size_t query = begin_query(out);
    put_text(out, "UPDATE live SET body = '");
    put_payload(out, commit);
    snprintf(text, sizeof text, "' WHERE id = %u; NOTIFY t%u, '", document, topic);
    put_text(out, text);
    put_payload(out, commit);
    put_text(out, "'");
    end_query(out, query);
}

const struct live_protocol postgres_live = {
    .name = "postgres",
    .open_writer = postgres_open,
    .subscribe = postgres_subscribe,
    .write = postgres_write,
    .written = postgres_written,
    .receive = receive,
};

/* ---- PocketBase ---- */

static void pocketbase_post(struct peer *peer, const char *path, const char *body)
{
    char text[1024];
    snprintf(text, sizeof text,
             "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    send_text(peer, text);
}

/* Events come on the first request, which is never answered to its end; what to send there is
 * asked for on another connection. */
static void pocketbase_subscribe(struct peer *peer, const struct live_settings *settings)
{
    static struct peer control;
    if (control.fd == 0) {
        control.fd = connect_to(settings->port);
    }
    send_text(peer, "GET /api/realtime HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n");
    size_t start = wait_for(peer, "\"clientId\":\"");
    size_t end = start + strcspn((const char *)peer->in.bytes + start, "\"");
    char body[512];
    snprintf(body, sizeof body,
             "{\"clientId\":\"%.*s\",\"subscriptions\":"
             "[\"docs/*?options={\\\"query\\\":{\\\"filter\\\":\\\"topic=%u\\\"}}\"]}",
             (int)(end - start), (const char *)peer->in.bytes + start, peer->topic);
    live_consume(&peer->in, end);
    pocketbase_post(&control, "/api/realtime", body);
    size_t used = wait_for(&control, "\r\n\r\n");
    if (memmem(control.in.bytes, used, " 204 ", 5) == NULL) {
        die("pocketbase refuses a subscription: %.*s", (int)control.in.length,
            (const char *)control.in.bytes);
    }
    live_consume(&control.in, used);
}

static void pocketbase_write(struct buffer *out, uint32_t document, uint32_t topic,
                             uint64_t commit)
{
    (void)topic;
    char text[256];
    snprintf(text, sizeof text,
             "PATCH /api/collections/docs/records/d%014u HTTP/1.1\r\nHost: bench\r\n"
             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"body\":\"",
             document, PAYLOAD_BYTES + 11);
    put_text(out, text);
    put_payload(out, commit);
    put_text(out, "\"}");
}

static bool pocketbase_written(struct peer *peer)
{
    const char *text = (const char *)peer->in.bytes;
    size_t length = peer->in.length;
    const char *end = memmem(text, length, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    if (memcmp(text, "HTTP/1.1 200", 12) != 0) {
        die("pocketbase answers %.*s", (int)length, text);
    }
    const char *size = memmem(text, (size_t)(end - text), "Content-Length: ", 16);
    if (size == NULL) {
        die("pocketbase answers without a length");
    }
    size_t whole = (size_t)(end - text) + 4 + strtoul(size + 16, NULL, 10);
    if (length < whole) {
        return false;
    }
    live_consume(&peer->in, whole);
    return true;
}

const struct live_protocol pocketbase_live = {
    .name = "pocketbase",
    .open_writer = redis_open_writer,
    .subscribe = pocketbase_subscribe,
    .write = pocketbase_write,
    .written = pocketbase_written,
    .receive = receive,
};
