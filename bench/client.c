/* The closed loop: each connection has one request on its way, and sends the next when the reply
 * has come and was checked. One thread, epoll, sockets that don't block.
 *
 * A run is a warm-up and a measured phase. Both start with every connection idle and end when the
 * last reply is in, so that slow operations are counted as exactly as fast ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "choice.h"
#include "document.h"
#include "histogram.h"
#include "load.h"
#include "process.h"

enum { STALL_MS = 120000, RECEIVE_BYTES = 65536 };

struct client {
    const struct settings *settings;
    const struct protocol *protocol;
    struct connection *connections;
    int poll;
    struct choice choice;
    /* Bulk load: requests built beforehand, so that making documents isn't measured. */
    struct buffer *batches;
    uint32_t batch_count;
    uint32_t next_batch;
    uint64_t stop_at;
    uint32_t next_value;
    /* Of the running phase. */
    struct histogram latencies;
    uint64_t errors;
    uint64_t scans;
    uint64_t bytes_out;
    uint64_t bytes_in;
};

/* ---- choosing operations ---- */

/* Connection 0 of the scanning workloads scans; what the others see is measured. */
static bool scans(const struct client *client, const struct connection *connection)
{
    enum workload workload = client->settings->workload;
    return connection->index == 0 && (workload == WORK_SCAN || workload == WORK_NOTHING);
}

/* False when there is nothing left to do. */
static bool choose(struct client *client, struct connection *connection)
{
    struct choice *choice = &client->choice;
    uint32_t documents = client->settings->documents;
    connection->key = choice_below(choice, documents);
    switch (client->settings->workload) {
    case WORK_LOAD:
        if (client->next_batch == client->batch_count) {
            return false;
        }
        connection->operation = OP_INSERT;
        connection->sending = &client->batches[client->next_batch++];
        return true;
    case WORK_READ:
        connection->operation = OP_READ;
        break;
    case WORK_EQUAL:
        connection->operation = OP_EQUAL;
        break;
    case WORK_RANGE:
        connection->operation = OP_RANGE;
        connection->key = choice_below(choice, documents - RANGE_DOCUMENTS);
        break;
    case WORK_UPDATE:
        connection->operation = OP_UPDATE;
        break;
    case WORK_YCSB_A:
    case WORK_YCSB_B: {
        uint32_t updates = client->settings->workload == WORK_YCSB_A ? 50 : 5;
        connection->operation = choice_below(choice, 100) < updates ? OP_UPDATE : OP_READ;
        connection->key = choice_zipfian(choice);
        break;
    }
    case WORK_COUNT:
        connection->operation = OP_COUNT;
        break;
    case WORK_GROUP:
        connection->operation = OP_GROUP;
        break;
    case WORK_LOOKUP:
        connection->operation = OP_LOOKUP;
        break;
    case WORK_SCAN:
        connection->operation = scans(client, connection) ? OP_SCAN : OP_READ;
        break;
    case WORK_NOTHING:
        connection->operation = scans(client, connection) ? OP_NOTHING : OP_READ;
        break;
    }
    connection->sending = &connection->out;
    return now_ns() < client->stop_at;
}

/* ---- moving bytes ---- */

static void want_write(struct client *client, struct connection *connection, bool wanted)
{
    if (connection->wants_write == wanted) {
        return;
    }
    connection->wants_write = wanted;
    struct epoll_event event = {
        .events = EPOLLIN | (wanted ? EPOLLOUT : 0u),
        .data.ptr = connection,
    };
    epoll_ctl(client->poll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void flush(struct client *client, struct connection *connection)
{
    const struct buffer *request = connection->sending;
    while (connection->sent < request->length) {
        ssize_t sent = send(connection->fd, request->bytes + connection->sent,
                            request->length - connection->sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                die("connection %d: %s", connection->index, strerror(errno));
            }
            want_write(client, connection, true);
            return;
        }
        connection->sent += (size_t)sent;
    }
    client->bytes_out += request->length;
    want_write(client, connection, false);
}

/* Starts the connection's next operation; false when the phase is over. */
static bool start(struct client *client, struct connection *connection)
{
    if (!choose(client, connection)) {
        return false;
    }
    connection->rows = 0;
    connection->failed = false;
    connection->value = client->next_value++ & INT32_MAX;
    if (connection->sending == &connection->out && !client->protocol->request(connection)) {
        die("%s can't do this workload", client->protocol->name);
    }
    connection->sent = 0;
    connection->started = now_ns();
    flush(client, connection);
    return true;
}

static void finish(struct client *client, struct connection *connection, bool good)
{
    if (!good) {
        client->errors++;
    } else if (scans(client, connection)) {
        client->scans++;
    } else {
        histogram_add(&client->latencies, now_ns() - connection->started);
    }
}

/* Takes in what has come; true when the connection went idle. */
static bool receive(struct client *client, struct connection *connection)
{
    struct buffer *in = &connection->in;
    buffer_reserve(in, RECEIVE_BYTES);
    ssize_t got = recv(connection->fd, in->bytes + in->length, in->capacity - in->length, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return false;
        }
        die("connection %d: %s", connection->index,
            got == 0 ? "closed by the server" : strerror(errno));
    }
    in->length += (size_t)got;
    client->bytes_in += (uint64_t)got;
    size_t used = 0;
    enum outcome outcome = client->protocol->reply(connection, in->bytes, in->length, &used);
    if (used > 0) {
        memmove(in->bytes, in->bytes + used, in->length - used);
        in->length -= used;
    }
    switch (outcome) {
    case REPLY_PARTIAL:
        return false;
    case REPLY_AGAIN:
        connection->sent = 0;
        flush(client, connection);
        return false;
    case REPLY_BROKEN:
        die("connection %d: not a reply of protocol %s", connection->index,
            client->protocol->name);
    case REPLY_GOOD:
    case REPLY_BAD:
        finish(client, connection, outcome == REPLY_GOOD);
        return !start(client, connection);
    }
    return false;
}

/* ---- phases ---- */

static void run_phase(struct client *client, double seconds)
{
    histogram_clear(&client->latencies);
    client->errors = client->scans = client->bytes_out = client->bytes_in = 0;
    client->stop_at = now_ns() + (uint64_t)(seconds * 1e9);
    int busy = 0;
    for (int i = 0; i < client->settings->connections; i++) {
        busy += start(client, &client->connections[i]);
    }
    while (busy > 0) {
        struct epoll_event events[64];
        int ready = epoll_wait(client->poll, events, 64, STALL_MS);
        if (ready == 0) {
            die("no reply for %d s", STALL_MS / 1000);
        }
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                flush(client, connection);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                busy -= receive(client, connection);
            }
        }
    }
}

static void open_connection(struct client *client, int index)
{
    const struct settings *settings = client->settings;
    struct connection *connection = &client->connections[index];
    connection->index = index;
    connection->fd = connect_to(settings->port);
    if (!client->protocol->open(connection, settings)) {
        die("port %d doesn't answer the handshake of protocol %s", settings->port,
            client->protocol->name);
    }
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(client->poll, EPOLL_CTL_ADD, connection->fd, &event);
}

static void build_batches(struct client *client)
{
    const struct settings *settings = client->settings;
    client->batch_count = (settings->documents + settings->batch - 1) / settings->batch;
    client->batches = calloc(client->batch_count, sizeof *client->batches);
    if (client->batches == NULL) {
        die("out of memory");
    }
    for (uint32_t i = 0; i < client->batch_count; i++) {
        uint32_t first = i * settings->batch;
        uint32_t left = settings->documents - first;
        client->protocol->insert(&client->batches[i], first,
                                 left < settings->batch ? left : settings->batch);
    }
}

/* Updates must write what isn't there yet, also in a second run with the same seed: values go up
 * from the time in microseconds, which passes faster than any server can update. */
static uint32_t first_value(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint32_t)((uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000);
}

struct measurement {
    double seconds;
    double client_cpu;
    double server_cpu;
    struct process_usage server;
};

/* `operations` of a bulk load are documents; its latencies are those of batches. */
static void report(const struct client *client, const struct measurement *measured)
{
    const struct settings *settings = client->settings;
    const struct histogram *latencies = &client->latencies;
    bool load = settings->workload == WORK_LOAD;
    double operations = load ? settings->documents : (double)latencies->total;
    double all = load ? operations : operations + (double)client->scans + (double)client->errors;
    double divisor = all > 0 ? all : 1;
    double p50 = (double)histogram_quantile(latencies, 0.5) / 1e3;
    double p99 = (double)histogram_quantile(latencies, 0.99) / 1e3;
    double p999 = (double)histogram_quantile(latencies, 0.999) / 1e3;
    printf("{\"label\":\"%s\",\"protocol\":\"%s\",\"workload\":\"%s\",\"connections\":%d,"
           "\"seconds\":%.4f,\"operations\":%.0f,\"rate\":%.2f,\"errors\":%llu,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"scans\":%llu,"
           "\"client_cpu_us\":%.2f,\"server_cpu_us\":%.2f,"
           "\"anonymous_kib\":%llu,\"shared_kib\":%llu,"
           "\"request_bytes\":%.1f,\"reply_bytes\":%.1f}\n",
           settings->label, client->protocol->name, settings->workload_name,
           settings->connections, measured->seconds, operations, operations / measured->seconds,
           (unsigned long long)client->errors, p50, p99, p999, (double)latencies->maximum / 1e3,
           (unsigned long long)client->scans, measured->client_cpu * 1e6 / divisor,
           measured->server_cpu * 1e6 / divisor,
           (unsigned long long)measured->server.anonymous_kib,
           (unsigned long long)measured->server.shared_kib, (double)client->bytes_out / divisor,
           (double)client->bytes_in / divisor);
    fprintf(stderr,
            "%-12s %-8s %3d connections: %10.1f/s  p50 %.0f us  p99 %.0f us  p99.9 %.0f us"
            "  errors %llu  CPU us/op: client %.1f, server %.1f\n",
            settings->label, settings->workload_name, settings->connections,
            operations / measured->seconds, p50, p99, p999, (unsigned long long)client->errors,
            measured->client_cpu * 1e6 / divisor, measured->server_cpu * 1e6 / divisor);
}

int client_run(const struct settings *settings, const struct protocol *protocol)
{
    static struct client client;
    client.settings = settings;
    client.protocol = protocol;
    client.poll = epoll_create1(0);
    choice_begin(&client.choice, settings->seed, settings->documents);
    client.next_value = first_value();
    client.connections = calloc((size_t)settings->connections, sizeof *client.connections);
    if (client.connections == NULL) {
        die("out of memory");
    }
    protocol->prepare(settings);
    if (settings->workload == WORK_LOAD) {
        build_batches(&client);
    }
    for (int i = 0; i < settings->connections; i++) {
        open_connection(&client, i);
    }
    if (settings->warmup > 0 && settings->workload != WORK_LOAD) {
        run_phase(&client, settings->warmup);
    }
    struct process_usage before = process_usage(settings->server_pid);
    struct measurement measured = {0};
    double cpu = cpu_seconds();
    uint64_t begin = now_ns();
    run_phase(&client, settings->seconds);
    measured.seconds = (double)(now_ns() - begin) * 1e-9;
    measured.client_cpu = cpu_seconds() - cpu;
    measured.server = process_usage(settings->server_pid);
    measured.server_cpu = measured.server.cpu_seconds - before.cpu_seconds;
    report(&client, &measured);
    return client.errors == 0 ? 0 : 2;
}
