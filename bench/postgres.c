/* PostgreSQL's protocol, version 3: prepared statements with binary parameters, each operation
 * one Bind, Execute and Sync. The table is docs (id bigint primary key, doc jsonb). */
#include <stdio.h>
#include <stdlib.h>

#include "document.h"
#include "load.h"

enum { HEAD_BYTES = 5, MOST_BYTES = 64 << 20 };

/* What each operation runs; the parameters' types are named so that binary ones fit. */
static const struct statement {
    enum operation operation;
    const char *name;
    const char *sql;
} statements[] = {
    {OP_READ, "read", "SELECT doc FROM docs WHERE id = $1::bigint"},
    {OP_EQUAL, "equal", "SELECT doc FROM docs WHERE (doc->>'score')::int = $1::int"},
    {OP_RANGE, "range",
     "SELECT doc FROM docs WHERE doc->>'createdAt' >= $1::text AND doc->>'createdAt' < $2::text"
     " ORDER BY doc->>'createdAt' LIMIT 20"},
    {OP_UPDATE, "update",
     "UPDATE docs SET doc = jsonb_set(doc, '{visits}', to_jsonb($2::int)) WHERE id = $1::bigint"},
    {OP_COUNT, "count", "SELECT count(*) FROM docs WHERE doc->>'status' = $1::text"},
    {OP_GROUP, "group",
     "SELECT doc->>'status', sum((doc->>'score')::int) FROM docs GROUP BY doc->>'status'"},
    {OP_LOOKUP, "lookup",
     "SELECT sum((b.doc->>'score')::int) FROM docs a JOIN docs b"
     " ON b.doc->>'createdAt' = a.doc->>'createdAt' WHERE a.id < 10000"},
    {OP_SCAN, "scan", "SELECT doc FROM docs"},
    {OP_NOTHING, "nothing", "SELECT doc FROM docs WHERE doc->>'email' = 'nobody@example.com'"},
};
enum { STATEMENTS = sizeof statements / sizeof *statements };

static struct buffer templates[STATEMENTS];
static size_t parameter_at[STATEMENTS][2];
static uint32_t documents, batch;

/* ---- building messages ---- */

static void put16(struct buffer *out, uint16_t value)
{
    uint8_t bytes[2];
    store_be16(bytes, value);
    buffer_append(out, bytes, 2);
}

static void put32(struct buffer *out, uint32_t value)
{
    uint8_t bytes[4];
    store_be32(bytes, value);
    buffer_append(out, bytes, 4);
}

static size_t begin(struct buffer *out, char type)
{
    buffer_byte(out, (uint8_t)type);
    size_t start = out->length;
    put32(out, 0);
    return start;
}

static void end(struct buffer *out, size_t start)
{
    store_be32(out->bytes + start, (uint32_t)(out->length - start));
}

static void put_execute_and_sync(struct buffer *out)
{
    size_t execute = begin(out, 'E');
    buffer_string(out, ""); /* the unnamed portal */
    put32(out, 0);          /* all rows */
    end(out, execute);
    end(out, begin(out, 'S'));
}

/* Room for a parameter of `size` bytes; returns where. */
static size_t put_parameter(struct buffer *out, const void *bytes, uint32_t size)
{
    put32(out, size);
    size_t at = out->length;
    buffer_append(out, bytes, size);
    return at;
}

static void prepare_operation(size_t index)
{
    struct buffer *out = &templates[index];
    enum operation operation = statements[index].operation;
    bool binary = operation == OP_READ || operation == OP_EQUAL || operation == OP_UPDATE;
    static const uint8_t blank[24];
    size_t bind = begin(out, 'B');
    buffer_string(out, "");
    buffer_string(out, statements[index].name);
    put16(out, 1); /* one format for all parameters */
    put16(out, binary);
    size_t *at = parameter_at[index];
    switch (operation) {
    case OP_READ:
        put16(out, 1);
        at[0] = put_parameter(out, blank, 8);
        break;
    case OP_EQUAL:
        put16(out, 1);
        at[0] = put_parameter(out, blank, 4);
        break;
    case OP_RANGE:
        put16(out, 2);
        at[0] = put_parameter(out, blank, 24);
        at[1] = put_parameter(out, blank, 24);
        break;
    case OP_UPDATE:
        put16(out, 2);
        at[0] = put_parameter(out, blank, 8);
        at[1] = put_parameter(out, blank, 4);
        break;
    case OP_COUNT:
        put16(out, 1);
        put_parameter(out, document_statuses[5], (uint32_t)strlen(document_statuses[5]));
        break;
    default:
        put16(out, 0);
    }
    put16(out, 0); /* results as text, as applications get them */
    end(out, bind);
    put_execute_and_sync(out);
}

static void postgres_prepare(const struct settings *settings)
{
    documents = settings->documents;
    batch = settings->batch;
    for (size_t index = 0; index < STATEMENTS; index++) {
        prepare_operation(index);
    }
}

static bool postgres_request(struct connection *connection)
{
    size_t index = 0;
    while (index < STATEMENTS && statements[index].operation != connection->operation) {
        index++;
    }
    if (index == STATEMENTS) {
        return false;
    }
    struct buffer *out = &connection->out;
    out->length = 0;
    buffer_append(out, templates[index].bytes, templates[index].length);
    const size_t *at = parameter_at[index];
    char text[25];
    switch (connection->operation) {
    case OP_READ:
        store_be64(out->bytes + at[0], connection->key);
        break;
    case OP_EQUAL:
        store_be32(out->bytes + at[0], document_score(connection->key));
        break;
    case OP_RANGE:
        document_created_text(connection->key, text);
        memcpy(out->bytes + at[0], text, 24);
        document_created_text(connection->key + RANGE_DOCUMENTS, text);
        memcpy(out->bytes + at[1], text, 24);
        break;
    case OP_UPDATE:
        store_be64(out->bytes + at[0], connection->key);
        store_be32(out->bytes + at[1], connection->value);
        break;
    default:
        break;
    }
    return true;
}

/* The multi-row INSERT is prepared for a full batch; a shorter last one is parsed on its own. */
static void put_insert_statement(struct buffer *out, const char *name, uint32_t rows)
{
    size_t parse = begin(out, 'P');
    buffer_string(out, name);
    static const char head[] = "INSERT INTO docs (id, doc) VALUES ";
    buffer_append(out, head, sizeof head - 1);
    for (uint32_t row = 0; row < rows; row++) {
        char text[48];
        int length = snprintf(text, sizeof text, "%s($%u,$%u)", row ? "," : "", 2 * row + 1,
                              2 * row + 2);
        buffer_append(out, text, (size_t)length);
    }
    buffer_byte(out, 0);
    put16(out, 0);
    end(out, parse);
}

static void postgres_insert(struct buffer *out, uint32_t first, uint32_t rows)
{
    const char *name = rows == batch ? "insert" : "";
    if (rows != batch) {
        put_insert_statement(out, name, rows);
    }
    size_t bind = begin(out, 'B');
    buffer_string(out, "");
    buffer_string(out, name);
    put16(out, 0); /* all parameters as text */
    put16(out, (uint16_t)(2 * rows));
    struct buffer document = {0};
    for (uint32_t number = first; number < first + rows; number++) {
        char id[16];
        put_parameter(out, id, (uint32_t)snprintf(id, sizeof id, "%u", number));
        document.length = 0;
        document_json(&document, number);
        put_parameter(out, document.bytes, (uint32_t)document.length);
    }
    buffer_free(&document);
    put16(out, 0);
    end(out, bind);
    put_execute_and_sync(out);
}

/* ---- replies ---- */

static bool expected_rows(const struct connection *connection)
{
    switch (connection->operation) {
    case OP_READ:
    case OP_COUNT:
    case OP_LOOKUP:
        return connection->rows == 1;
    case OP_EQUAL:
        return connection->rows == documents / DOCUMENT_SCORES;
    case OP_RANGE:
        return connection->rows == RANGE_LIMIT;
    case OP_GROUP:
        return connection->rows == DOCUMENT_STATUSES;
    case OP_SCAN:
        return connection->rows == documents;
    case OP_UPDATE:
    case OP_INSERT:
    case OP_NOTHING:
        return connection->rows == 0;
    }
    return false;
}

/* One row: 16 bits of columns, then for each its length and bytes. */
static bool good_row(const struct connection *connection, const uint8_t *row, size_t length)
{
    if (length < 6) {
        return false;
    }
    uint32_t size = load_be32(row + 2);
    switch (connection->operation) {
    case OP_READ:
        return size > DOCUMENT_BYTES - 100 && size < DOCUMENT_BYTES + 200;
    case OP_COUNT: {
        char text[16] = {0};
        if (size >= sizeof text || size > length - 6) {
            return false;
        }
        memcpy(text, row + 6, size);
        return (uint32_t)atol(text) == documents / DOCUMENT_STATUSES;
    }
    default:
        return true;
    }
}

static bool good_tag(const struct connection *connection, const char *tag)
{
    switch (connection->operation) {
    case OP_UPDATE:
        return strcmp(tag, "UPDATE 1") == 0;
    case OP_INSERT:
        return strncmp(tag, "INSERT 0 ", 9) == 0;
    default:
        return strncmp(tag, "SELECT", 6) == 0;
    }
}

static void explain(const uint8_t *fields, size_t length)
{
    static bool said;
    for (const uint8_t *at = fields; !said && at < fields + length && *at;
         at += strlen((const char *)at) + 1) {
        if (*at == 'M') {
            fprintf(stderr, "load: postgres answers: %s\n", (const char *)at + 1);
            said = true;
        }
    }
}

static enum outcome postgres_reply(struct connection *connection, const uint8_t *bytes,
                                   size_t length, size_t *used)
{
    for (;;) {
        const uint8_t *message = bytes + *used;
        size_t left = length - *used;
        if (left < HEAD_BYTES) {
            return REPLY_PARTIAL;
        }
        size_t size = 1 + (size_t)load_be32(message + 1);
        if (size < HEAD_BYTES || size > MOST_BYTES) {
            return REPLY_BROKEN;
        }
        if (left < size) {
            return REPLY_PARTIAL;
        }
        *used += size;
        const uint8_t *body = message + HEAD_BYTES;
        switch (message[0]) {
        case 'D':
            connection->rows++;
            connection->failed |= !good_row(connection, body, size - HEAD_BYTES);
            break;
        case 'C':
            connection->failed |= !good_tag(connection, (const char *)body);
            break;
        case 'E':
            explain(body, size - HEAD_BYTES);
            connection->failed = true;
            break;
        case 'Z':
            return !connection->failed && expected_rows(connection) ? REPLY_GOOD : REPLY_BAD;
        default: /* parse, bind and close complete, notices, parameters */
            break;
        }
    }
}

/* ---- opening ---- */

/* Reads up to ReadyForQuery; false on an error or when a password is asked for. */
static bool wait_until_ready(int fd)
{
    bool good = true;
    for (;;) {
        uint8_t head[HEAD_BYTES];
        if (!receive_exactly(fd, head, sizeof head)) {
            return false;
        }
        size_t size = load_be32(head + 1);
        if (size < 4 || size > MOST_BYTES) {
            return false;
        }
        uint8_t *body = calloc(1, size);
        if (body == NULL || !receive_exactly(fd, body, size - 4)) {
            free(body);
            return false;
        }
        if (head[0] == 'E') {
            explain(body, size - 4);
            good = false;
        } else if (head[0] == 'R' && load_be32(body) != 0) {
            fprintf(stderr, "load: postgres asks for a password; give the test role trust\n");
            good = false;
        }
        free(body);
        if (head[0] == 'Z' || (!good && head[0] == 'R')) {
            return good;
        }
    }
}

bool postgres_sign_in(int fd, const char *user)
{
    struct buffer out = {0};
    put32(&out, 0);
    put32(&out, 3 << 16);
    buffer_string(&out, "user");
    buffer_string(&out, user);
    buffer_string(&out, "database");
    buffer_string(&out, "bench");
    buffer_byte(&out, 0);
    store_be32(out.bytes, (uint32_t)out.length);
    bool good = send_all(fd, out.bytes, out.length) && wait_until_ready(fd);
    buffer_free(&out);
    return good;
}

static bool postgres_open(struct connection *connection, const struct settings *settings)
{
    struct buffer out = {0};
    bool good = postgres_sign_in(connection->fd, settings->user);
    for (size_t index = 0; index < STATEMENTS; index++) {
        size_t parse = begin(&out, 'P');
        buffer_string(&out, statements[index].name);
        buffer_string(&out, statements[index].sql);
        put16(&out, 0);
        end(&out, parse);
    }
    if (settings->workload == WORK_LOAD) {
        put_insert_statement(&out, "insert", settings->batch);
    }
    end(&out, begin(&out, 'S'));
    good = good && send_all(connection->fd, out.bytes, out.length) &&
           wait_until_ready(connection->fd);
    buffer_free(&out);
    return good;
}

const struct protocol postgres_protocol = {
    .name = "postgres",
    .prepare = postgres_prepare,
    .open = postgres_open,
    .request = postgres_request,
    .insert = postgres_insert,
    .reply = postgres_reply,
};
