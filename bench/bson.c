#include "bson.h"

/* ---- writing ---- */

size_t bson_begin(struct buffer *buffer)
{
    size_t start = buffer->length;
    buffer_append(buffer, "\0\0\0\0", 4);
    return start;
}

static void field_head(struct buffer *buffer, uint8_t type, const char *name)
{
    buffer_byte(buffer, type);
    buffer_string(buffer, name);
}

size_t bson_begin_field(struct buffer *buffer, uint8_t type, const char *name)
{
    field_head(buffer, type, name);
    return bson_begin(buffer);
}

void bson_end(struct buffer *buffer, size_t start)
{
    buffer_byte(buffer, 0);
    store_le32(buffer->bytes + start, (uint32_t)(buffer->length - start));
}

static size_t number(struct buffer *buffer, uint8_t type, const char *name, const void *value,
                     size_t size)
{
    field_head(buffer, type, name);
    size_t at = buffer->length;
    buffer_append(buffer, value, size);
    return at;
}

size_t bson_int32(struct buffer *buffer, const char *name, int32_t value)
{
    return number(buffer, BSON_INT32, name, &value, 4);
}

size_t bson_int64(struct buffer *buffer, const char *name, int64_t value)
{
    return number(buffer, BSON_INT64, name, &value, 8);
}

size_t bson_date(struct buffer *buffer, const char *name, int64_t milliseconds)
{
    return number(buffer, BSON_DATE, name, &milliseconds, 8);
}

void bson_double(struct buffer *buffer, const char *name, double value)
{
    number(buffer, BSON_DOUBLE, name, &value, 8);
}

void bson_bool(struct buffer *buffer, const char *name, bool value)
{
    uint8_t byte = value;
    number(buffer, BSON_BOOL, name, &byte, 1);
}

void bson_string(struct buffer *buffer, const char *name, const char *value)
{
    field_head(buffer, BSON_STRING, name);
    uint8_t length[4];
    store_le32(length, (uint32_t)strlen(value) + 1);
    buffer_append(buffer, length, 4);
    buffer_string(buffer, value);
}

size_t bson_uuid(struct buffer *buffer, const char *name, const uint8_t uuid[16])
{
    field_head(buffer, BSON_BINARY, name);
    buffer_append(buffer, "\x10\0\0\0\x04", 5);
    size_t at = buffer->length;
    buffer_append(buffer, uuid, 16);
    return at;
}

/* ---- reading ---- */

bool bson_walk_begin(struct bson_walk *walk, const uint8_t *bytes, size_t length)
{
    if (length < 5) {
        return false;
    }
    uint32_t size = load_le32(bytes);
    if (size < 5 || size > length || bytes[size - 1] != 0) {
        return false;
    }
    walk->at = bytes + 4;
    walk->end = bytes + size - 1;
    return true;
}

/* How many bytes a value takes, or SIZE_MAX when they aren't there. */
static size_t value_size(uint8_t type, const uint8_t *value, size_t left)
{
    switch (type) {
    case BSON_DOUBLE:
    case BSON_DATE:
    case BSON_INT64:
    case 0x11: /* timestamp */
        return 8;
    case BSON_STRING:
    case 0x0d: /* code */
    case 0x0e: /* symbol */
        return left < 4 ? SIZE_MAX : 4 + (size_t)load_le32(value);
    case BSON_DOCUMENT:
    case BSON_ARRAY:
    case 0x0f: /* code with scope */
        return left < 4 ? SIZE_MAX : load_le32(value);
    case BSON_BINARY:
        return left < 5 ? SIZE_MAX : 5 + (size_t)load_le32(value);
    case 0x06: /* undefined */
    case 0x0a: /* null */
    case 0x7f:
    case 0xff:
        return 0;
    case 0x07: /* ObjectId */
        return 12;
    case BSON_BOOL:
        return 1;
    case BSON_INT32:
        return 4;
    case 0x13: /* decimal128 */
        return 16;
    case 0x0b: { /* regular expression: two C strings */
        const uint8_t *pattern = memchr(value, 0, left);
        if (pattern == NULL) {
            return SIZE_MAX;
        }
        size_t first = (size_t)(pattern - value) + 1;
        const uint8_t *options = memchr(value + first, 0, left - first);
        return options == NULL ? SIZE_MAX : (size_t)(options - value) + 1;
    }
    default:
        return SIZE_MAX;
    }
}

bool bson_walk_next(struct bson_walk *walk, struct bson_field *field)
{
    if (walk->at >= walk->end) {
        return false;
    }
    field->type = *walk->at++;
    field->name = (const char *)walk->at;
    const uint8_t *name_end = memchr(walk->at, 0, (size_t)(walk->end - walk->at));
    if (name_end == NULL) {
        return false;
    }
    field->value = name_end + 1;
    size_t left = (size_t)(walk->end - field->value);
    field->size = value_size(field->type, field->value, left);
    if (field->size > left) {
        return false;
    }
    walk->at = field->value + field->size;
    return true;
}

double bson_number(const struct bson_field *field)
{
    switch (field->type) {
    case BSON_DOUBLE: {
        double value;
        memcpy(&value, field->value, 8);
        return value;
    }
    case BSON_INT32:
        return (int32_t)load_le32(field->value);
    case BSON_INT64:
        return (double)(int64_t)load_le64(field->value);
    case BSON_BOOL:
        return field->value[0];
    default:
        return 0;
    }
}
