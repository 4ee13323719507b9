/* The benchmark's load generator: one process, one thread, N connections.
 *
 * It speaks MongoDB's wire protocol, RESP, PostgreSQL's protocol and a bare ping-pong, each from
 * templates that are patched, so that its own cost (which it prints) stays at the system calls.
 * bench/README.md says how the measurements are made; client.c holds the loop. */
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>

#include "document.h"

static const char usage[] =
    "usage: load PROTOCOL WORKLOAD --port N [options]\n"
    "       load pong --port N          the answering end of the ping-pong\n"
    "       load document NUMBER        a document as JSON, and its size as BSON\n"
    "\n"
    "PROTOCOL  mongo, redis, postgres, ping\n"
    "WORKLOAD  load, read, equal, range, update, ycsb-a, ycsb-b, count, group,\n"
    "          lookup, scan (connection 0 reads everything, the others read by _id),\n"
    "          nothing (connection 0 filters everything, the others read by _id)\n"
    "\n"
    "  --connections N   each with one request on its way (1)\n"
    "  --seconds S       of the measured phase (2)\n"
    "  --warmup S        before it (0.3)\n"
    "  --documents N     in the collection (100000)\n"
    "  --batch N         documents to an insert (1000)\n"
    "  --server-pid PID  whose CPU time and memory to read, with its descendants\n"
    "  --label NAME      name printed with the result (the protocol)\n"
    "  --user NAME       PostgreSQL's role (postgres)\n"
    "  --seed N          of the keys chosen (1)\n"
    "  --no-sessions     mongo: leave out lsid, which every driver sends\n"
    "  --retryable       mongo: send txnNumber with updates, as drivers do by default\n"
    "\n"
    "One JSON line goes to standard output, the same for people to standard error.\n"
    "Exit status 2 when a reply was an error or not the expected one.\n";

static const struct {
    const char *name;
    enum workload workload;
} workloads[] = {
    {"load", WORK_LOAD},     {"read", WORK_READ},     {"equal", WORK_EQUAL},
    {"range", WORK_RANGE},   {"update", WORK_UPDATE}, {"ycsb-a", WORK_YCSB_A},
    {"ycsb-b", WORK_YCSB_B}, {"count", WORK_COUNT},   {"group", WORK_GROUP},
    {"lookup", WORK_LOOKUP}, {"scan", WORK_SCAN},     {"nothing", WORK_NOTHING},
};

static const struct protocol *const protocols[] = {
    &mongo_protocol,
    &redis_protocol,
    &postgres_protocol,
    &ping_protocol,
};

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static bool option(struct settings *settings, const char *name, const char *value)
{
    if (strcmp(name, "--port") == 0) {
        settings->port = atoi(value);
    } else if (strcmp(name, "--connections") == 0) {
        settings->connections = atoi(value);
    } else if (strcmp(name, "--seconds") == 0) {
        settings->seconds = atof(value);
    } else if (strcmp(name, "--warmup") == 0) {
        settings->warmup = atof(value);
    } else if (strcmp(name, "--documents") == 0) {
        settings->documents = (uint32_t)atol(value);
    } else if (strcmp(name, "--batch") == 0) {
        settings->batch = (uint32_t)atol(value);
    } else if (strcmp(name, "--server-pid") == 0) {
        settings->server_pid = atoi(value);
    } else if (strcmp(name, "--label") == 0) {
        settings->label = value;
    } else if (strcmp(name, "--user") == 0) {
        settings->user = value;
    } else if (strcmp(name, "--seed") == 0) {
        settings->seed = strtoull(value, NULL, 10);
    } else {
        return false;
    }
    return true;
}

static void parse_options(struct settings *settings, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--no-sessions") == 0) {
            settings->sessions = false;
        } else if (strcmp(arguments[i], "--retryable") == 0) {
            settings->retryable = true;
        } else if (i + 1 < count && option(settings, arguments[i], arguments[i + 1])) {
            i++;
        } else {
            die("unknown option or missing value: %s (load --help says what there is)",
                arguments[i]);
        }
    }
    if (settings->port <= 0 || settings->connections <= 0 || settings->batch == 0) {
        die("--port, --connections and --batch must be above 0");
    }
    if (settings->documents < DOCUMENT_SCORES) {
        die("--documents must be at least %d", DOCUMENT_SCORES);
    }
}

static const struct protocol *find_protocol(const char *name)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        if (strcmp(protocols[i]->name, name) == 0) {
            return protocols[i];
        }
    }
    die("unknown protocol %s (load --help says what there is)", name);
}

static void find_workload(struct settings *settings, const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (strcmp(workloads[i].name, name) == 0) {
            settings->workload = workloads[i].workload;
            settings->workload_name = workloads[i].name;
            return;
        }
    }
    die("unknown workload %s (load --help says what there is)", name);
}

static int show_document(uint32_t number)
{
    struct buffer bson = {0}, json = {0};
    document_bson(&bson, number);
    document_json(&json, number);
    printf("%.*s\n", (int)json.length, (const char *)json.bytes);
    fprintf(stderr, "%zu bytes of BSON, %zu of JSON\n", bson.length, json.length);
    return 0;
}

int main(int count, char **arguments)
{
    struct settings settings = {
        .connections = 1,
        .seconds = 2,
        .warmup = 0.3,
        .documents = 100000,
        .batch = 1000,
        .seed = 1,
        .user = "postgres",
        .sessions = true,
    };
    signal(SIGPIPE, SIG_IGN);
    if (count == 3 && strcmp(arguments[1], "document") == 0) {
        return show_document((uint32_t)atol(arguments[2]));
    }
    if (count >= 2 && strcmp(arguments[1], "pong") == 0) {
        parse_options(&settings, count - 2, arguments + 2);
        return pong_serve(&settings);
    }
    if (count < 3 || arguments[1][0] == '-') {
        fputs(usage, count == 2 && strcmp(arguments[1], "--help") == 0 ? stdout : stderr);
        return 1;
    }
    const struct protocol *protocol = find_protocol(arguments[1]);
    settings.protocol = settings.label = arguments[1];
    find_workload(&settings, arguments[2]);
    parse_options(&settings, count - 3, arguments + 3);
    return client_run(&settings, protocol);
}
