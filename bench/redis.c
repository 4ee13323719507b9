/* RESP: GET, SET, and MSET for loading. The value is the document's BSON, so the bytes that
 * travel are as many as with MongoDB's protocol. */
#include <stdio.h>
#include <stdlib.h>

#include "document.h"
#include "load.h"

enum { KEY_BYTES = 11 }; /* doc:0000042 */

static void put_key(struct buffer *out, uint32_t number)
{
    char text[32];
    int length = snprintf(text, sizeof text, "$%d\r\ndoc:%07u\r\n", KEY_BYTES, number);
    buffer_append(out, text, (size_t)length);
}

static void put_value(struct buffer *out, const uint8_t *bytes, size_t length)
{
    char text[32];
    int head = snprintf(text, sizeof text, "$%zu\r\n", length);
    buffer_append(out, text, (size_t)head);
    buffer_append(out, bytes, length);
    buffer_append(out, "\r\n", 2);
}

static struct buffer get_template, set_template;
static size_t get_key_at, set_key_at, set_value_at;

static void redis_prepare(const struct settings *settings)
{
    (void)settings;
    static const char get[] = "*2\r\n$3\r\nGET\r\n";
    static const char set[] = "*3\r\n$3\r\nSET\r\n";
    buffer_append(&get_template, get, sizeof get - 1);
    put_key(&get_template, 0);
    get_key_at = get_template.length - 2 - 7;

    buffer_append(&set_template, set, sizeof set - 1);
    put_key(&set_template, 0);
    set_key_at = set_template.length - 2 - 7;
    struct buffer document = {0};
    document_bson(&document, 0);
    put_value(&set_template, document.bytes, document.length);
    /* Anywhere in the document; `_id` comes first, at 4 + 1 + 4. */
    set_value_at = set_template.length - 2 - document.length + 9;
    buffer_free(&document);
}

static void patch_key(uint8_t *at, uint32_t number)
{
    for (int digit = 6; digit >= 0; digit--, number /= 10) {
        at[digit] = (uint8_t)('0' + number % 10);
    }
}

static bool redis_request(struct connection *connection)
{
    struct buffer *out = &connection->out;
    out->length = 0;
    switch (connection->operation) {
    case OP_READ:
        buffer_append(out, get_template.bytes, get_template.length);
        patch_key(out->bytes + get_key_at, connection->key);
        return true;
    case OP_UPDATE:
        buffer_append(out, set_template.bytes, set_template.length);
        patch_key(out->bytes + set_key_at, connection->key);
        store_le32(out->bytes + set_value_at, connection->value);
        return true;
    default:
        return false;
    }
}

static void redis_insert(struct buffer *out, uint32_t first, uint32_t number)
{
    char text[64];
    int length = snprintf(text, sizeof text, "*%u\r\n$4\r\nMSET\r\n", 1 + 2 * number);
    buffer_append(out, text, (size_t)length);
    struct buffer document = {0};
    for (uint32_t key = first; key < first + number; key++) {
        put_key(out, key);
        document.length = 0;
        document_bson(&document, key);
        put_value(out, document.bytes, document.length);
    }
    buffer_free(&document);
}

static enum outcome redis_reply(struct connection *connection, const uint8_t *bytes, size_t length,
                                size_t *used)
{
    const uint8_t *line_end = memchr(bytes, '\n', length);
    if (line_end == NULL) {
        return REPLY_PARTIAL;
    }
    size_t line = (size_t)(line_end - bytes) + 1;
    switch (bytes[0]) {
    case '+':
        *used = line;
        return connection->operation != OP_READ && line == 5 && memcmp(bytes, "+OK", 3) == 0
                   ? REPLY_GOOD : REPLY_BAD;
    case '-':
        fprintf(stderr, "load: redis answers %.*s", (int)line, (const char *)bytes);
        *used = line;
        return REPLY_BAD;
    case '$': {
        long size = strtol((const char *)bytes + 1, NULL, 10);
        if (size < 0) {
            *used = line;
            return REPLY_BAD;
        }
        if (length < line + (size_t)size + 2) {
            return REPLY_PARTIAL;
        }
        *used = line + (size_t)size + 2;
        return connection->operation == OP_READ && size == DOCUMENT_BYTES ? REPLY_GOOD : REPLY_BAD;
    }
    default:
        return REPLY_BROKEN;
    }
}

static bool redis_open(struct connection *connection, const struct settings *settings)
{
    (void)settings;
    char pong[7];
    return send_all(connection->fd, "PING\r\n", 6) &&
           receive_exactly(connection->fd, pong, sizeof pong) && memcmp(pong, "+PONG", 5) == 0;
}

const struct protocol redis_protocol = {
    .name = "redis",
    .prepare = redis_prepare,
    .open = redis_open,
    .request = redis_request,
    .insert = redis_insert,
    .reply = redis_reply,
};
