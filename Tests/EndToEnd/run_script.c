// Runs the end-to-end script with the C driver: run_script URI SCRIPT
//
// The script is a JSON array, a step a line; libbson parses each line. Expected documents are
// compared field by field, whatever the order of fields.

#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same(const bson_iter_t *left, const bson_iter_t *right);

// Whether both hold the same fields with the same values, in any order.
static bool same_fields(bson_iter_t left, bson_iter_t right, uint32_t count) {
    bson_iter_t item = left;
    uint32_t seen = 0;
    while (bson_iter_next(&item)) {
        bson_iter_t found = right;
        seen++;
        if (!bson_iter_find(&found, bson_iter_key(&item)) || !same(&item, &found)) return false;
    }
    return seen == count;
}

static uint32_t count_of(bson_iter_t item) {
    uint32_t count = 0;
    while (bson_iter_next(&item)) count++;
    return count;
}

static bool same(const bson_iter_t *left, const bson_iter_t *right) {
    if (bson_iter_type(left) != bson_iter_type(right)) return false;
    if (BSON_ITER_HOLDS_DOCUMENT(left) || BSON_ITER_HOLDS_ARRAY(left)) {
        bson_iter_t a, b;
        return bson_iter_recurse(left, &a) && bson_iter_recurse(right, &b)
            && same_fields(a, b, count_of(b));
    }
    bson_t a = BSON_INITIALIZER, b = BSON_INITIALIZER;
    bson_append_iter(&a, "v", 1, left);
    bson_append_iter(&b, "v", 1, right);
    bool equal = bson_equal(&a, &b);
    bson_destroy(&a);
    bson_destroy(&b);
    return equal;
}

static bool same_documents(const bson_t *left, const bson_t *right) {
    bson_iter_t a, b;
    return bson_iter_init(&a, left) && bson_iter_init(&b, right) && same_fields(a, b, count_of(b));
}

// Makes `value` a view of the document or array in a field, or empty. (A bson_t must not be copied:
// it points into itself.)
static void field(const bson_t *step, const char *name, bson_t *value) {
    bson_iter_t item;
    const uint8_t *data;
    uint32_t length;
    if (bson_iter_init_find(&item, step, name)
        && (BSON_ITER_HOLDS_DOCUMENT(&item) || BSON_ITER_HOLDS_ARRAY(&item))) {
        if (BSON_ITER_HOLDS_ARRAY(&item)) bson_iter_array(&item, &length, &data);
        else bson_iter_document(&item, &length, &data);
        bson_init_static(value, data, length);
    } else {
        bson_init(value);
    }
}

static const char *text(const bson_t *step, const char *name) {
    bson_iter_t item;
    return bson_iter_init_find(&item, step, name) ? bson_iter_utf8(&item, NULL) : "";
}

static int64_t number(const bson_t *step, const char *name) {
    bson_iter_t item;
    return bson_iter_init_find(&item, step, name) ? bson_iter_as_int64(&item) : 0;
}

// Fills `document` with what a field's list of pairs holds.
static void from_pairs(const bson_t *step, const char *name, bson_t *document) {
    bson_t pairs;
    bson_iter_t item, pair;
    bson_init(document);
    field(step, name, &pairs);
    bson_iter_init(&item, &pairs);
    while (bson_iter_next(&item)) {
        bson_iter_recurse(&item, &pair);
        bson_iter_next(&pair);
        const char *key = bson_iter_utf8(&pair, NULL);
        bson_iter_next(&pair);
        bson_append_iter(document, key, -1, &pair);
    }
}

// Appends a cursor's documents to `result` as the array `documents`.
static bool collect(mongoc_cursor_t *cursor, bson_t *result, bson_error_t *error) {
    const bson_t *document;
    bson_t list = BSON_INITIALIZER;
    char key[16];
    uint32_t count = 0;
    while (mongoc_cursor_next(cursor, &document)) {
        snprintf(key, sizeof key, "%u", count++);
        bson_append_document(&list, key, -1, document);
    }
    bson_append_array(result, "documents", -1, &list);
    bson_destroy(&list);
    bool ok = !mongoc_cursor_error(cursor, error);
    mongoc_cursor_destroy(cursor);
    return ok;
}

static bool insert(mongoc_collection_t *collection, const bson_t *step, bson_t *result,
                   bson_error_t *error) {
    bson_t documents, reply;
    uint32_t count, index = 0;
    bson_iter_t item;
    field(step, "documents", &documents);
    bson_iter_init(&item, &documents);
    count = count_of(item);
    const bson_t **list = calloc(count + 1, sizeof *list);
    bson_t *views = calloc(count + 1, sizeof *views);
    while (bson_iter_next(&item)) {
        const uint8_t *data;
        uint32_t length;
        bson_iter_document(&item, &length, &data);
        bson_init_static(&views[index], data, length);
        list[index] = &views[index];
        index++;
    }
    bool ok = mongoc_collection_insert_many(collection, list, count, NULL, &reply, error);
    BSON_APPEND_INT32(result, "inserted", (int32_t)number(&reply, "insertedCount"));
    bson_destroy(&reply);
    free(views);
    free(list);
    return ok;
}

static bool find(mongoc_collection_t *collection, const bson_t *step, bson_t *result,
                 bson_error_t *error) {
    bson_t filter, projection, sort, options = BSON_INITIALIZER;
    field(step, "filter", &filter);
    field(step, "projection", &projection);
    from_pairs(step, "sort", &sort);
    if (!bson_empty(&sort)) BSON_APPEND_DOCUMENT(&options, "sort", &sort);
    if (!bson_empty(&projection)) BSON_APPEND_DOCUMENT(&options, "projection", &projection);
    if (number(step, "limit")) BSON_APPEND_INT64(&options, "limit", number(step, "limit"));
    if (number(step, "skip")) BSON_APPEND_INT64(&options, "skip", number(step, "skip"));
    if (number(step, "batchSize")) BSON_APPEND_INT32(&options, "batchSize", (int32_t)number(step, "batchSize"));
    bool ok = collect(mongoc_collection_find_with_opts(collection, &filter, &options, NULL), result,
                      error);
    bson_destroy(&options);
    bson_destroy(&sort);
    return ok;
}

static bool create_index(mongoc_collection_t *collection, const bson_t *step, bson_error_t *error) {
    bson_t keys, options, *command = bson_new(), index = BSON_INITIALIZER;
    field(step, "options", &options);
    from_pairs(step, "keys", &keys);
    char *name = mongoc_collection_keys_to_index_string(&keys);
    bson_t list = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&index, "key", &keys);
    BSON_APPEND_UTF8(&index, "name", name);
    bson_concat(&index, &options);
    BSON_APPEND_DOCUMENT(&list, "0", &index);
    BSON_APPEND_UTF8(command, "createIndexes", mongoc_collection_get_name(collection));
    BSON_APPEND_ARRAY(command, "indexes", &list);
    bool ok = mongoc_collection_write_command_with_opts(collection, command, NULL, NULL, error);
    bson_free(name);
    bson_destroy(command);
    bson_destroy(&list);
    bson_destroy(&index);
    bson_destroy(&keys);
    return ok;
}

static bool update(mongoc_collection_t *collection, const bson_t *step, bson_t *result,
                   bson_error_t *error) {
    bson_t filter, change, options = BSON_INITIALIZER, reply;
    field(step, "filter", &filter);
    field(step, "update", &change);
    BSON_APPEND_BOOL(&options, "upsert", number(step, "upsert"));
    bool ok = number(step, "multi")
        ? mongoc_collection_update_many(collection, &filter, &change, &options, &reply, error)
        : mongoc_collection_update_one(collection, &filter, &change, &options, &reply, error);
    BSON_APPEND_INT32(result, "matched", (int32_t)number(&reply, "matchedCount"));
    BSON_APPEND_INT32(result, "modified", (int32_t)number(&reply, "modifiedCount"));
    bson_destroy(&reply);
    bson_destroy(&options);
    return ok;
}

static bool distinct(mongoc_collection_t *collection, const bson_t *step, bson_t *result,
                     bson_error_t *error) {
    bson_t filter, values, command = BSON_INITIALIZER, reply;
    field(step, "filter", &filter);
    BSON_APPEND_UTF8(&command, "distinct", mongoc_collection_get_name(collection));
    BSON_APPEND_UTF8(&command, "key", text(step, "field"));
    BSON_APPEND_DOCUMENT(&command, "query", &filter);
    bool ok = mongoc_collection_read_command_with_opts(collection, &command, NULL, NULL, &reply, error);
    field(&reply, "values", &values);
    BSON_APPEND_ARRAY(result, "values", &values);
    bson_destroy(&reply);
    bson_destroy(&command);
    return ok;
}

static bool run(mongoc_collection_t *collection, const bson_t *step, bson_t *result,
                bson_error_t *error) {
    const char *verb = text(step, "do");
    bson_t filter, reply;
    bool ok;
    field(step, "filter", &filter);
    if (!strcmp(verb, "drop")) return mongoc_collection_drop(collection, error) || error->code == 26;
    if (!strcmp(verb, "insert")) return insert(collection, step, result, error);
    if (!strcmp(verb, "find")) return find(collection, step, result, error);
    if (!strcmp(verb, "createIndex")) return create_index(collection, step, error);
    if (!strcmp(verb, "update")) return update(collection, step, result, error);
    if (!strcmp(verb, "distinct")) return distinct(collection, step, result, error);
    if (!strcmp(verb, "count")) {
        int64_t n = mongoc_collection_count_documents(collection, &filter, NULL, NULL, NULL, error);
        BSON_APPEND_INT32(result, "n", (int32_t)n);
        return n >= 0;
    }
    if (!strcmp(verb, "delete")) {
        ok = number(step, "multi")
            ? mongoc_collection_delete_many(collection, &filter, NULL, &reply, error)
            : mongoc_collection_delete_one(collection, &filter, NULL, &reply, error);
        BSON_APPEND_INT32(result, "deleted", (int32_t)number(&reply, "deletedCount"));
        bson_destroy(&reply);
        return ok;
    }
    if (!strcmp(verb, "aggregate")) {
        bson_t pipeline;
        field(step, "pipeline", &pipeline);
        return collect(mongoc_collection_aggregate(collection, MONGOC_QUERY_NONE, &pipeline, NULL, NULL),
                       result, error);
    }
    bson_set_error(error, 0, 1, "no such step: %s", verb);
    return false;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "run_script URI SCRIPT\n"), 2;
    mongoc_init();
    mongoc_client_t *client = mongoc_client_new(argv[1]);
    if (!client) return fprintf(stderr, "bad URI %s\n", argv[1]), 2;
    mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
    FILE *file = fopen(argv[2], "r");
    if (!file) return perror(argv[2]), 2;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int passed = 0, failed = 0;
    while ((length = getline(&line, &capacity, file)) > 0) {
        while (length > 0 && strchr(",\n", line[length - 1])) length--;
        if (line[0] != '{') continue;
        bson_error_t error = {0};
        bson_t *step = bson_new_from_json((const uint8_t *)line, length, &error);
        if (!step) return fprintf(stderr, "bad script: %s\n", error.message), 2;
        bson_t expected, result = BSON_INITIALIZER;
        field(step, "expect", &expected);
        mongoc_collection_t *collection
            = mongoc_client_get_collection(client, "end_to_end", text(step, "collection"));
        bool ok = run(collection, step, &result, &error);
        int64_t wanted = number(step, "error");
        bool right = wanted ? !ok && error.code == (uint32_t)wanted
                            : ok && (bson_empty(&expected) || same_documents(&result, &expected));
        if (right) passed++;
        else {
            char *got = bson_as_relaxed_extended_json(&result, NULL);
            printf("step %d %s: error %u %s, result %.600s\n", passed + failed, text(step, "do"),
                   error.code, error.message, got);
            bson_free(got);
            failed++;
        }
        mongoc_collection_destroy(collection);
        bson_destroy(&result);
        bson_destroy(step);
    }
    printf("C driver: %d passed, %d failed\n", passed, failed);
    free(line);
    fclose(file);
    mongoc_client_destroy(client);
    mongoc_cleanup();
    return failed > 0;
}
