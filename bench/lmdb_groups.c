/* The ceiling of durable writes: bare LMDB, updating random documents in groups of N, each group
 * one transaction that is synced before the next begins. What a server adds to this is its own.
 * Measured twice: the updates alone, and with a log record of a document's size appended for each,
 * which is what a server with change streams has to write.
 *
 * usage: lmdb_groups DIR SECONDS GROUP...      two JSON lines for each group size */
#include <errno.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "choice.h"
#include "document.h"
#include "histogram.h"
#include "load.h"

enum { DOCUMENTS = 100000, LOAD_GROUP = 1000 };

static const char usage[] =
    "usage: lmdb_groups DIR SECONDS GROUP...\n"
    "Updates random documents of 100,000 in transactions of GROUP, each synced, for SECONDS;\n"
    "then the same with a log record for each update.\n";

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "lmdb_groups: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static void check(int code, const char *what)
{
    if (code != 0) {
        die("%s: %s", what, mdb_strerror(code));
    }
}

static MDB_val key_of(uint8_t bytes[8], uint32_t number)
{
    store_be64(bytes, number);
    return (MDB_val){.mv_size = 8, .mv_data = bytes};
}

/* What is updated, and the log of it. */
struct tables {
    MDB_dbi documents;
    MDB_dbi log;
    uint32_t records;
};

static void load(MDB_env *env, struct tables *tables)
{
    MDB_txn *transaction;
    struct buffer document = {0};
    uint8_t bytes[8];
    for (uint32_t first = 0; first < DOCUMENTS; first += LOAD_GROUP) {
        check(mdb_txn_begin(env, NULL, 0, &transaction), "begin");
        check(mdb_dbi_open(transaction, "docs", MDB_CREATE, &tables->documents), "open table");
        check(mdb_dbi_open(transaction, "log", MDB_CREATE, &tables->log), "open table");
        for (uint32_t number = first; number < first + LOAD_GROUP; number++) {
            document.length = 0;
            document_bson(&document, number);
            MDB_val key = key_of(bytes, number);
            MDB_val value = {.mv_size = document.length, .mv_data = document.bytes};
            check(mdb_put(transaction, tables->documents, &key, &value, MDB_APPEND), "put");
        }
        check(mdb_txn_commit(transaction), "commit");
    }
    buffer_free(&document);
}

/* One group: read, change and write back each document, log it if asked, then commit. */
static void update_group(MDB_env *env, struct tables *tables, struct choice *choice,
                         unsigned group, bool is_logged)
{
    MDB_txn *transaction;
    uint8_t bytes[8], copy[DOCUMENT_BYTES * 2];
    check(mdb_txn_begin(env, NULL, 0, &transaction), "begin");
    for (unsigned i = 0; i < group; i++) {
        MDB_val key = key_of(bytes, choice_below(choice, DOCUMENTS)), value;
        check(mdb_get(transaction, tables->documents, &key, &value), "get");
        if (value.mv_size > sizeof copy) {
            die("a document of %zu bytes", value.mv_size);
        }
        memcpy(copy, value.mv_data, value.mv_size);
        store_le32(copy + value.mv_size / 2, (uint32_t)choice_bits(choice));
        value.mv_data = copy;
        check(mdb_put(transaction, tables->documents, &key, &value, 0), "put");
        if (is_logged) {
            key = key_of(bytes, tables->records++);
            check(mdb_put(transaction, tables->log, &key, &value, MDB_APPEND), "log");
        }
    }
    check(mdb_txn_commit(transaction), "commit");
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static void measure(MDB_env *env, struct tables *tables, double seconds, unsigned group,
                    bool is_logged)
{
    static struct histogram latencies;
    struct choice choice;
    histogram_clear(&latencies);
    choice_begin(&choice, group + 1, DOCUMENTS);
    uint64_t begin = now(), end = begin + (uint64_t)(seconds * 1e9), last = begin;
    while (last < end) {
        update_group(env, tables, &choice, group, is_logged);
        uint64_t time = now();
        histogram_add(&latencies, time - last);
        last = time;
    }
    double elapsed = (double)(last - begin) * 1e-9;
    printf("{\"label\":\"lmdb\",\"workload\":\"update\",\"group\":%u,\"logged\":%s,\"rate\":%.1f,"
           "\"commit_p50_us\":%.1f,\"commit_p99_us\":%.1f}\n",
           group, is_logged ? "true" : "false", (double)latencies.total * group / elapsed,
           (double)histogram_quantile(&latencies, 0.5) / 1e3,
           (double)histogram_quantile(&latencies, 0.99) / 1e3);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    if (count < 4) {
        fputs(usage, stderr);
        return 1;
    }
    MDB_env *env;
    struct tables tables = {0};
    if (mkdir(arguments[1], 0755) != 0 && errno != EEXIST) {
        die("can't make %s", arguments[1]);
    }
    check(mdb_env_create(&env), "create");
    check(mdb_env_set_mapsize(env, (size_t)1 << 36), "map size");
    check(mdb_env_set_maxdbs(env, 16), "tables");
    check(mdb_env_open(env, arguments[1], MDB_NOTLS, 0644), "open");
    load(env, &tables);
    for (int i = 3; i < count; i++) {
        int group = atoi(arguments[i]);
        if (group <= 0) {
            die("%s is no group size", arguments[i]);
        }
        measure(env, &tables, atof(arguments[2]), (unsigned)group, false);
        measure(env, &tables, atof(arguments[2]), (unsigned)group, true);
    }
    mdb_env_close(env);
    return 0;
}
