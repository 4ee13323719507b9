#include "mongo_reply.h"

#include <stdio.h>
#include <string.h>

#include "bson.h"

static void read_batch(struct mongo_reply *reply, const struct bson_field *batch, bool with_totals)
{
    struct bson_walk walk, inside;
    struct bson_field document, field;
    if (!bson_walk_begin(&walk, batch->value, batch->size)) {
        return;
    }
    while (bson_walk_next(&walk, &document)) {
        if (reply->batch++ == 0) {
            reply->first_size = document.size;
            if (bson_walk_begin(&inside, document.value, document.size) &&
                bson_walk_next(&inside, &field) && strcmp(field.name, "_id") == 0) {
                reply->first_id = (int64_t)bson_number(&field);
            }
        }
        if (with_totals && bson_walk_begin(&inside, document.value, document.size)) {
            while (bson_walk_next(&inside, &field)) {
                if (strcmp(field.name, "total") == 0) {
                    reply->totals += bson_number(&field);
                }
            }
        }
    }
}

bool mongo_read_reply(struct mongo_reply *reply, const uint8_t *body, size_t length,
                      bool with_totals)
{
    struct bson_walk walk, inside;
    struct bson_field field, part;
    *reply = (struct mongo_reply){.first_id = -1};
    if (!bson_walk_begin(&walk, body, length)) {
        return false;
    }
    while (bson_walk_next(&walk, &field)) {
        if (strcmp(field.name, "ok") == 0) {
            reply->ok = bson_number(&field) == 1;
        } else if (strcmp(field.name, "n") == 0) {
            reply->n = bson_number(&field);
        } else if (strcmp(field.name, "nModified") == 0) {
            reply->modified = bson_number(&field);
        } else if (strncmp(field.name, "write", 5) == 0) {
            reply->errors = true;
        } else if (strcmp(field.name, "cursor") == 0 &&
                   bson_walk_begin(&inside, field.value, field.size)) {
            while (bson_walk_next(&inside, &part)) {
                if (strcmp(part.name, "id") == 0) {
                    reply->cursor = part.type == BSON_INT64 ? (int64_t)load_le64(part.value) : 0;
                } else if (part.type == BSON_ARRAY && strstr(part.name, "Batch") != NULL) {
                    read_batch(reply, &part, with_totals);
                }
            }
        }
    }
    return reply->ok && !reply->errors;
}

void mongo_explain(const uint8_t *body, size_t length)
{
    static bool said;
    struct bson_walk walk;
    struct bson_field field;
    if (said || !bson_walk_begin(&walk, body, length)) {
        return;
    }
    said = true;
    fprintf(stderr, "load: unexpected reply:");
    while (bson_walk_next(&walk, &field)) {
        if (field.type == BSON_STRING) {
            fprintf(stderr, " %s=\"%s\"", field.name, (const char *)field.value + 4);
        } else {
            fprintf(stderr, " %s=%g", field.name, bson_number(&field));
        }
    }
    fprintf(stderr, "\n");
}
