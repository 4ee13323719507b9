/* MongoDB's wire protocol: OP_MSG both ways. A request is a template that was built once, copied
 * and patched; of a reply every field that matters is looked at. */
#include <stdlib.h>

#include "bson.h"
#include "document.h"
#include "load.h"
#include "mongo_reply.h"

enum {
    OP_MSG = 2013,
    HEADER_BYTES = 16,
    MESSAGE_BYTES = HEADER_BYTES + 5, /* flags and the kind of the first section */
    MOST_BYTES = 48000000,
    SCAN_BATCH = 1000,
};

static const char collection[] = "docs";
static const char database[] = "bench";

/* Offsets are 0 where a template has no such thing. */
struct template {
    struct buffer bytes;
    size_t key_at;
    size_t range_at[2];
    size_t value_at;
    size_t cursor_at;
    size_t session_at;
    size_t transaction_at;
};

static struct template read_one, equal, range, update, count, group, lookup, scan, more, nothing;
static bool sessions, retryable;
static uint32_t documents;

/* ---- requests ---- */

static size_t begin_message(struct buffer *out)
{
    uint8_t head[MESSAGE_BYTES] = {0};
    store_le32(head + 12, OP_MSG);
    buffer_append(out, head, sizeof head);
    return bson_begin(out);
}

/* The fields that drivers put at every command's end. */
static void end_command(struct buffer *out, size_t body, struct template *template)
{
    if (template != NULL && sessions) {
        static const uint8_t blank[16];
        size_t session = bson_begin_field(out, BSON_DOCUMENT, "lsid");
        template->session_at = bson_uuid(out, "id", blank);
        bson_end(out, session);
    }
    bson_string(out, "$db", database);
    bson_end(out, body);
}

static void end_message(struct buffer *out)
{
    store_le32(out->bytes, (uint32_t)out->length);
}

static void prepare_finds(void)
{
    struct buffer *out = &read_one.bytes;
    size_t body = begin_message(out);
    bson_string(out, "find", collection);
    size_t filter = bson_begin_field(out, BSON_DOCUMENT, "filter");
    read_one.key_at = bson_int32(out, "_id", 0);
    bson_end(out, filter);
    bson_int32(out, "limit", 1);
    bson_bool(out, "singleBatch", true);
    end_command(out, body, &read_one);
    end_message(out);

    out = &equal.bytes;
    body = begin_message(out);
    bson_string(out, "find", collection);
    filter = bson_begin_field(out, BSON_DOCUMENT, "filter");
    equal.key_at = bson_int32(out, "score", 0);
    bson_end(out, filter);
    end_command(out, body, &equal);
    end_message(out);

    out = &range.bytes;
    body = begin_message(out);
    bson_string(out, "find", collection);
    filter = bson_begin_field(out, BSON_DOCUMENT, "filter");
    size_t bounds = bson_begin_field(out, BSON_DOCUMENT, "createdAt");
    range.range_at[0] = bson_date(out, "$gte", 0);
    range.range_at[1] = bson_date(out, "$lt", 0);
    bson_end(out, bounds);
    bson_end(out, filter);
    size_t sort = bson_begin_field(out, BSON_DOCUMENT, "sort");
    bson_int32(out, "createdAt", 1);
    bson_end(out, sort);
    bson_int32(out, "limit", RANGE_LIMIT);
    end_command(out, body, &range);
    end_message(out);

    out = &scan.bytes;
    body = begin_message(out);
    bson_string(out, "find", collection);
    filter = bson_begin_field(out, BSON_DOCUMENT, "filter");
    bson_end(out, filter);
    bson_int32(out, "batchSize", SCAN_BATCH);
    end_command(out, body, &scan);
    end_message(out);

    out = &more.bytes;
    body = begin_message(out);
    more.cursor_at = bson_int64(out, "getMore", 0);
    bson_string(out, "collection", collection);
    bson_int32(out, "batchSize", SCAN_BATCH);
    end_command(out, body, &more);
    end_message(out);

    out = &nothing.bytes;
    body = begin_message(out);
    bson_string(out, "find", collection);
    filter = bson_begin_field(out, BSON_DOCUMENT, "filter");
    bson_string(out, "email", "nobody@example.com");
    bson_end(out, filter);
    end_command(out, body, &nothing);
    end_message(out);
}

static void prepare_others(void)
{
    struct buffer *out = &update.bytes;
    size_t body = begin_message(out);
    bson_string(out, "update", collection);
    size_t updates = bson_begin_field(out, BSON_ARRAY, "updates");
    size_t one = bson_begin_field(out, BSON_DOCUMENT, "0");
    size_t filter = bson_begin_field(out, BSON_DOCUMENT, "q");
    update.key_at = bson_int32(out, "_id", 0);
    bson_end(out, filter);
    size_t change = bson_begin_field(out, BSON_DOCUMENT, "u");
    size_t set = bson_begin_field(out, BSON_DOCUMENT, "$set");
    update.value_at = bson_int32(out, "visits", 0);
    bson_end(out, set);
    bson_end(out, change);
    bson_end(out, one);
    bson_end(out, updates);
    bson_bool(out, "ordered", true);
    if (retryable) {
        update.transaction_at = bson_int64(out, "txnNumber", 0);
    }
    end_command(out, body, &update);
    end_message(out);

    out = &count.bytes;
    body = begin_message(out);
    bson_string(out, "count", collection);
    filter = bson_begin_field(out, BSON_DOCUMENT, "query");
    bson_string(out, "status", document_statuses[5]);
    bson_end(out, filter);
    end_command(out, body, &count);
    end_message(out);

    out = &group.bytes;
    body = begin_message(out);
    bson_string(out, "aggregate", collection);
    size_t pipeline = bson_begin_field(out, BSON_ARRAY, "pipeline");
    size_t stage = bson_begin_field(out, BSON_DOCUMENT, "0");
    size_t grouping = bson_begin_field(out, BSON_DOCUMENT, "$group");
    bson_string(out, "_id", "$status");
    size_t total = bson_begin_field(out, BSON_DOCUMENT, "total");
    bson_string(out, "$sum", "$score");
    bson_end(out, total);
    bson_end(out, grouping);
    bson_end(out, stage);
    bson_end(out, pipeline);
    size_t cursor = bson_begin_field(out, BSON_DOCUMENT, "cursor");
    bson_end(out, cursor);
    end_command(out, body, &group);
    end_message(out);
}

static size_t begin_stage(struct buffer *out, const char *index, const char *name, size_t *stage)
{
    *stage = bson_begin_field(out, BSON_DOCUMENT, index);
    return bson_begin_field(out, BSON_DOCUMENT, name);
}

static void end_stage(struct buffer *out, size_t content, size_t stage)
{
    bson_end(out, content);
    bson_end(out, stage);
}

static void prepare_lookup(void)
{
    struct buffer *out = &lookup.bytes;
    size_t stage;
    size_t body = begin_message(out);
    bson_string(out, "aggregate", collection);
    size_t pipeline = bson_begin_field(out, BSON_ARRAY, "pipeline");
    size_t content = begin_stage(out, "0", "$match", &stage);
    size_t below = bson_begin_field(out, BSON_DOCUMENT, "_id");
    bson_int32(out, "$lt", JOINED_DOCUMENTS);
    bson_end(out, below);
    end_stage(out, content, stage);
    content = begin_stage(out, "1", "$lookup", &stage);
    bson_string(out, "from", collection);
    bson_string(out, "localField", "createdAt");
    bson_string(out, "foreignField", "createdAt");
    bson_string(out, "as", "joined");
    end_stage(out, content, stage);
    stage = bson_begin_field(out, BSON_DOCUMENT, "2");
    bson_string(out, "$unwind", "$joined");
    bson_end(out, stage);
    content = begin_stage(out, "3", "$group", &stage);
    bson_int32(out, "_id", 0);
    size_t total = bson_begin_field(out, BSON_DOCUMENT, "total");
    bson_string(out, "$sum", "$joined.score");
    bson_end(out, total);
    end_stage(out, content, stage);
    bson_end(out, pipeline);
    bson_end(out, bson_begin_field(out, BSON_DOCUMENT, "cursor"));
    end_command(out, body, &lookup);
    end_message(out);
}

static void mongo_prepare(const struct settings *settings)
{
    sessions = settings->sessions || settings->retryable;
    retryable = settings->retryable;
    documents = settings->documents;
    prepare_finds();
    prepare_others();
    prepare_lookup();
}

/* Copies a template and fills in what is the connection's own. */
static uint8_t *start_request(struct connection *connection, const struct template *template)
{
    struct buffer *out = &connection->out;
    out->length = 0;
    buffer_append(out, template->bytes.bytes, template->bytes.length);
    connection->sequence++;
    store_le32(out->bytes + 4, (uint32_t)connection->sequence);
    if (template->session_at) {
        store_le32(out->bytes + template->session_at, (uint32_t)connection->index + 1);
        store_le64(out->bytes + template->session_at + 4, 0x524f4f5354424e43ULL);
        store_le32(out->bytes + template->session_at + 12, (uint32_t)(size_t)connection->fd);
    }
    if (template->transaction_at) {
        store_le64(out->bytes + template->transaction_at, (uint64_t)connection->sequence);
    }
    return out->bytes;
}

static bool mongo_request(struct connection *connection)
{
    uint32_t key = connection->key;
    uint8_t *bytes;
    switch (connection->operation) {
    case OP_READ:
        bytes = start_request(connection, &read_one);
        store_le32(bytes + read_one.key_at, key);
        return true;
    case OP_EQUAL:
        bytes = start_request(connection, &equal);
        store_le32(bytes + equal.key_at, document_score(key));
        return true;
    case OP_RANGE:
        bytes = start_request(connection, &range);
        store_le64(bytes + range.range_at[0], (uint64_t)document_created(key));
        store_le64(bytes + range.range_at[1], (uint64_t)document_created(key + RANGE_DOCUMENTS));
        return true;
    case OP_UPDATE:
        bytes = start_request(connection, &update);
        store_le32(bytes + update.key_at, key);
        store_le32(bytes + update.value_at, connection->value);
        return true;
    case OP_COUNT:
        start_request(connection, &count);
        return true;
    case OP_GROUP:
        start_request(connection, &group);
        return true;
    case OP_LOOKUP:
        start_request(connection, &lookup);
        return true;
    case OP_SCAN:
        start_request(connection, &scan);
        return true;
    case OP_NOTHING:
        start_request(connection, &nothing);
        return true;
    case OP_INSERT:
        return false;
    }
    return false;
}

static void mongo_insert(struct buffer *out, uint32_t first, uint32_t number)
{
    size_t body = begin_message(out);
    bson_string(out, "insert", collection);
    bson_bool(out, "ordered", true);
    end_command(out, body, NULL);
    buffer_byte(out, 1); /* the documents follow as a sequence, as drivers send them */
    size_t sequence = bson_begin(out);
    buffer_string(out, "documents");
    for (uint32_t document = first; document < first + number; document++) {
        document_bson(out, document);
    }
    store_le32(out->bytes + sequence, (uint32_t)(out->length - sequence));
    end_message(out);
}

/* ---- replies ---- */

/* What the scores of the first documents add up to. */
static double score_total(uint32_t count)
{
    double total = 0;
    for (uint32_t number = 0; number < count; number++) {
        total += document_score(number);
    }
    return total;
}

static bool expected(const struct connection *connection, const struct mongo_reply *reply)
{
    static double all_scores = -1, joined_scores = -1;
    switch (connection->operation) {
    case OP_READ:
        return reply->batch == 1 && reply->first_size == DOCUMENT_BYTES &&
               reply->first_id == connection->key;
    case OP_EQUAL:
        return reply->batch == documents / DOCUMENT_SCORES && reply->cursor == 0;
    case OP_RANGE:
        return reply->batch == RANGE_LIMIT && reply->first_id == connection->key;
    case OP_UPDATE:
        return reply->n == 1 && reply->modified == 1;
    case OP_COUNT:
        return reply->n == documents / DOCUMENT_STATUSES;
    case OP_GROUP:
        if (all_scores < 0) {
            all_scores = score_total(documents);
        }
        return reply->batch == DOCUMENT_STATUSES && reply->totals == all_scores;
    case OP_LOOKUP:
        if (joined_scores < 0) {
            joined_scores = score_total(JOINED_DOCUMENTS);
        }
        return reply->batch == 1 && reply->totals == joined_scores;
    case OP_SCAN:
        return connection->rows == documents;
    case OP_NOTHING:
        return reply->batch == 0 && reply->cursor == 0;
    case OP_INSERT:
        return reply->n > 0;
    }
    return false;
}

static enum outcome mongo_reply(struct connection *connection, const uint8_t *bytes, size_t length,
                                size_t *used)
{
    if (length < HEADER_BYTES) {
        return REPLY_PARTIAL;
    }
    size_t size = load_le32(bytes);
    if (size < MESSAGE_BYTES + 5 || size > MOST_BYTES || load_le32(bytes + 12) != OP_MSG) {
        return REPLY_BROKEN;
    }
    if (length < size) {
        return REPLY_PARTIAL;
    }
    *used = size;
    if (bytes[MESSAGE_BYTES - 1] != 0) {
        return REPLY_BROKEN;
    }
    struct mongo_reply reply;
    const uint8_t *body = bytes + MESSAGE_BYTES;
    bool good = mongo_read_reply(&reply, body, size - MESSAGE_BYTES,
                                 connection->operation == OP_GROUP ||
                                     connection->operation == OP_LOOKUP);
    connection->rows += reply.batch;
    if (good && connection->operation == OP_SCAN && reply.cursor != 0) {
        uint8_t *next = start_request(connection, &more);
        store_le64(next + more.cursor_at, (uint64_t)reply.cursor);
        return REPLY_AGAIN;
    }
    if (good && expected(connection, &reply)) {
        return REPLY_GOOD;
    }
    mongo_explain(body, size - MESSAGE_BYTES);
    return REPLY_BAD;
}

/* ---- opening ---- */

static bool mongo_open(struct connection *connection, const struct settings *settings)
{
    (void)settings;
    struct buffer out = {0};
    size_t body = begin_message(&out);
    bson_int32(&out, "hello", 1);
    bson_string(&out, "$db", "admin");
    bson_end(&out, body);
    end_message(&out);
    bool sent = send_all(connection->fd, out.bytes, out.length);
    buffer_free(&out);
    uint8_t head[HEADER_BYTES];
    if (!sent || !receive_exactly(connection->fd, head, sizeof head)) {
        return false;
    }
    size_t size = load_le32(head);
    if (size < MESSAGE_BYTES + 5 || size > MOST_BYTES || load_le32(head + 12) != OP_MSG) {
        return false;
    }
    uint8_t *rest = malloc(size - HEADER_BYTES);
    struct mongo_reply reply;
    bool good = rest != NULL && receive_exactly(connection->fd, rest, size - HEADER_BYTES) &&
                mongo_read_reply(&reply, rest + 5, size - MESSAGE_BYTES, false);
    free(rest);
    return good;
}

void mongo_read_sizes(const struct settings *settings, size_t *request, size_t *reply)
{
    if (read_one.bytes.length == 0) {
        mongo_prepare(settings);
    }
    *request = read_one.bytes.length;
    struct buffer out = {0};
    size_t body = begin_message(&out);
    size_t cursor = bson_begin_field(&out, BSON_DOCUMENT, "cursor");
    size_t batch = bson_begin_field(&out, BSON_ARRAY, "firstBatch");
    buffer_byte(&out, BSON_DOCUMENT);
    buffer_string(&out, "0");
    document_bson(&out, 0);
    bson_end(&out, batch);
    bson_int64(&out, "id", 0);
    bson_string(&out, "ns", "bench.docs");
    bson_end(&out, cursor);
    bson_double(&out, "ok", 1);
    bson_end(&out, body);
    *reply = out.length;
    buffer_free(&out);
}

const struct protocol mongo_protocol = {
    .name = "mongo",
    .prepare = mongo_prepare,
    .open = mongo_open,
    .request = mongo_request,
    .insert = mongo_insert,
    .reply = mongo_reply,
};
