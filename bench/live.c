/* The delivery benchmark: writers at a given rate, and how long it takes until each subscriber whose
 * query a commit matches was told.
 *
 * One process, one thread, epoll. A commit's number is in the document that it writes, and thus in
 * what subscribers are told; the time when it was sent and when it was acknowledged is kept here.
 * Commits that are sent in the measured phase are counted, deliveries of them until all are there
 * or nothing comes for some seconds. Each subscriber must be told a writer's commits in order. */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "histogram.h"
#include "process.h"

static const char usage[] =
    "usage: live PROTOCOL --port N [options]     measure\n"
    "       live hold --port N --topics COUNT    open COUNT live queries that nothing matches\n"
    "\n"
    "PROTOCOL  mongo (Roost's live queries), redis, postgres, pocketbase\n"
    "\n"
    "  --topics N        distinct queries (1)\n"
    "  --documents N     that are written, round about (as many as topics)\n"
    "  --subscribers N   of each query (1); 0 measures the writes alone\n"
    "  --writers N       each with one commit on its way (16)\n"
    "  --rate N          commits a second (as many as the window allows)\n"
    "  --window N        commits that may be on their way to subscribers (16 without a rate)\n"
    "  --seconds S       of the measured phase (5)\n"
    "  --warmup S        before it (1)\n"
    "  --server-pid PID  whose CPU time and memory to read, with its descendants\n"
    "  --label NAME      printed with the result\n";

enum { RECEIVE_BYTES = 65536, SILENCE_MS = 5000 };

static struct {
    struct live_settings settings;
    const struct live_protocol *protocol;
    struct peer *subscribers;
    struct peer *writers;
    int poll;
    /* By commit number. */
    uint64_t *sent_at;
    uint64_t *acknowledged_at;
    uint32_t *written_by;
    uint64_t commits;
    uint64_t commit_room;
    uint64_t measured_from;   /* the first commit number that is measured; 0: none yet */
    uint64_t delivered;       /* of all commits */
    uint64_t measured_delivered;
    uint64_t last_delivery;
    uint64_t disordered;
    uint64_t received_bytes;
    struct histogram from_sending;
    struct histogram from_acknowledgement;
    struct histogram writes;
} bench;

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "live: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

void live_consume(struct buffer *buffer, size_t length)
{
    if (length > 0) {
        memmove(buffer->bytes, buffer->bytes + length, buffer->length - length);
        buffer->length -= length;
    }
}

static bool take_in(struct peer *peer)
{
    buffer_reserve(&peer->in, RECEIVE_BYTES);
    ssize_t got = recv(peer->fd, peer->in.bytes + peer->in.length,
                       peer->in.capacity - peer->in.length, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return false;
        }
        die("%s %u: %s", peer->is_writer ? "writer" : "subscriber", peer->index,
            got == 0 ? "closed by the server" : strerror(errno));
    }
    peer->in.length += (size_t)got;
    bench.received_bytes += (uint64_t)got;
    return true;
}

void live_fill(struct peer *peer)
{
    if (!take_in(peer)) {
        die("subscriber %u: no answer", peer->index);
    }
}

void live_delivered(struct peer *peer, uint64_t commit)
{
    if (commit == 0) {
        return; /* the document as it was at the start */
    }
    if (commit > bench.commits) {
        die("subscriber %u was told commit %llu, which was not made", peer->index,
            (unsigned long long)commit);
    }
    uint64_t now = now_ns();
    uint64_t *last = &peer->last[bench.written_by[commit]];
    bench.disordered += commit <= *last;
    *last = commit;
    bench.delivered++;
    bench.last_delivery = now;
    if (bench.measured_from > 0 && commit >= bench.measured_from) {
        bench.measured_delivered++;
        histogram_add(&bench.from_sending, now - bench.sent_at[commit]);
        uint64_t acknowledged = bench.acknowledged_at[commit];
        bool is_later = acknowledged > 0 && now > acknowledged;
        histogram_add(&bench.from_acknowledgement, is_later ? now - acknowledged : 0);
    }
}

/* ---- writing ---- */

static void send_write(struct peer *writer)
{
    const struct live_settings *settings = &bench.settings;
    uint64_t commit = ++bench.commits;
    if (commit >= bench.commit_room) {
        bench.commit_room = bench.commit_room ? 2 * bench.commit_room : 1 << 16;
        size_t size = bench.commit_room * sizeof(uint64_t);
        bench.sent_at = realloc(bench.sent_at, size);
        bench.acknowledged_at = realloc(bench.acknowledged_at, size);
        bench.written_by = realloc(bench.written_by, bench.commit_room * sizeof(uint32_t));
        if (bench.sent_at == NULL || bench.acknowledged_at == NULL || bench.written_by == NULL) {
            die("out of memory");
        }
    }
    writer->commit = commit;
    bench.written_by[commit] = writer->index;
    writer->out.length = 0;
    bench.protocol->write(&writer->out, writer->document, writer->document % settings->topics,
                          commit);
    writer->document += settings->writers;
    if (writer->document >= settings->documents) {
        writer->document = writer->index;
    }
    bench.acknowledged_at[commit] = 0;
    bench.sent_at[commit] = now_ns();
    /* A request is small and the only one on its way: it fits the socket's buffer. */
    if (send(writer->fd, writer->out.bytes, writer->out.length, MSG_NOSIGNAL)
        != (ssize_t)writer->out.length) {
        die("writer %u can't send", writer->index);
    }
}

static void receive_answer(struct peer *writer)
{
    if (!take_in(writer) || !bench.protocol->written(writer)) {
        return;
    }
    uint64_t now = now_ns();
    bench.acknowledged_at[writer->commit] = now;
    if (bench.measured_from > 0 && writer->commit >= bench.measured_from) {
        histogram_add(&bench.writes, now - bench.sent_at[writer->commit]);
    }
    writer->commit = 0;
}

/* ---- the loop ---- */

static bool is_window_full(void)
{
    const struct live_settings *settings = &bench.settings;
    if (settings->window == 0) {
        return false;
    }
    uint64_t wanted = bench.commits * settings->subscribers;
    return wanted > bench.delivered + (uint64_t)settings->window * settings->subscribers;
}

static void poll_once(int timeout_ms)
{
    struct epoll_event events[256];
    int ready = epoll_wait(bench.poll, events, 256, timeout_ms);
    for (int i = 0; i < ready; i++) {
        struct peer *peer = events[i].data.ptr;
        if (peer->is_writer) {
            receive_answer(peer);
        } else if (take_in(peer)) {
            bench.protocol->receive(peer);
        }
    }
}

static void run_phase(double seconds)
{
    const struct live_settings *settings = &bench.settings;
    uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9);
    uint64_t made = 0;
    for (uint64_t now = begin; now < end; now = now_ns()) {
        uint64_t due = settings->rate > 0
            ? (uint64_t)(settings->rate * (double)(now - begin) * 1e-9) : UINT64_MAX;
        for (uint32_t i = 0; i < settings->writers && made < due && !is_window_full(); i++) {
            if (bench.writers[i].commit == 0) {
                send_write(&bench.writers[i]);
                made++;
            }
        }
        poll_once(1);
    }
}

static bool is_writing(void)
{
    for (uint32_t i = 0; i < bench.settings.writers; i++) {
        if (bench.writers[i].commit != 0) {
            return true;
        }
    }
    return false;
}

/* Waits for the answers and deliveries that are still to come. */
static void drain(void)
{
    uint64_t wanted = bench.commits * bench.settings.subscribers;
    bench.last_delivery = now_ns();
    while ((is_writing() || bench.delivered < wanted)
           && now_ns() - bench.last_delivery < SILENCE_MS * 1000000ULL) {
        poll_once(100);
    }
}

static void join(struct peer *peer)
{
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    epoll_ctl(bench.poll, EPOLL_CTL_ADD, peer->fd, &event);
}

static struct peer *make_peers(size_t count)
{
    struct peer *peers = calloc(count + 1, sizeof *peers);
    if (peers == NULL) {
        die("out of memory");
    }
    return peers;
}

static void open_peers(void)
{
    const struct live_settings *settings = &bench.settings;
    uint32_t count = settings->topics * settings->subscribers;
    bench.subscribers = make_peers(count);
    bench.writers = make_peers(settings->writers);
    for (uint32_t i = 0; i < count; i++) {
        struct peer *peer = &bench.subscribers[i];
        peer->index = i;
        peer->topic = i % settings->topics;
        peer->last = calloc(settings->writers, sizeof *peer->last);
        if (peer->last == NULL) {
            die("out of memory");
        }
        peer->fd = connect_to(settings->port);
        bench.protocol->subscribe(peer, settings);
        join(peer);
    }
    for (uint32_t i = 0; i < settings->writers; i++) {
        struct peer *peer = &bench.writers[i];
        peer->index = peer->document = i;
        peer->is_writer = true;
        peer->fd = connect_to(settings->port);
        bench.protocol->open_writer(peer, settings);
        join(peer);
    }
}

static double micros(const struct histogram *histogram, double share)
{
    return (double)histogram_quantile(histogram, share) / 1e3;
}

static int measure(void)
{
    const struct live_settings *settings = &bench.settings;
    bench.poll = epoll_create1(0);
    uint64_t opening = now_ns();
    open_peers();
    double opened = (double)(now_ns() - opening) * 1e-9;
    run_phase(settings->warmup);
    drain();
    bench.measured_from = bench.commits + 1;
    bench.received_bytes = 0;
    struct process_usage before = process_usage(settings->server_pid);
    double cpu = cpu_seconds();
    uint64_t begin = now_ns();
    run_phase(settings->seconds);
    double writing = (double)(now_ns() - begin) * 1e-9;
    drain();
    double seconds = settings->subscribers > 0 ? (double)(bench.last_delivery - begin) * 1e-9
                                               : writing;
    cpu = cpu_seconds() - cpu;
    struct process_usage after = process_usage(settings->server_pid);
    uint64_t commits = bench.commits + 1 - bench.measured_from;
    uint64_t wanted = commits * settings->subscribers;
    printf("{\"label\":\"%s\",\"protocol\":\"%s\",\"topics\":%u,\"subscribers\":%u,"
           "\"writers\":%u,\"seconds\":%.3f,\"opening_seconds\":%.2f,\"commits\":%llu,"
           "\"commit_rate\":%.1f,\"deliveries\":%llu,\"delivery_rate\":%.1f,\"missing\":%lld,"
           "\"disordered\":%llu,\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f,"
           "\"sent_p50_us\":%.0f,\"sent_p99_us\":%.0f,\"write_p50_us\":%.0f,"
           "\"write_p99_us\":%.0f,\"server_cpu\":%.3f,\"client_cpu\":%.3f,"
           "\"anonymous_kib\":%llu,\"shared_kib\":%llu,\"delivery_bytes\":%.0f}\n",
           settings->label, bench.protocol->name, settings->topics, settings->subscribers,
           settings->writers, seconds, opened, (unsigned long long)commits,
           (double)commits / writing, (unsigned long long)bench.measured_delivered,
           (double)bench.measured_delivered / seconds,
           (long long)(wanted - bench.measured_delivered), (unsigned long long)bench.disordered,
           micros(&bench.from_acknowledgement, 0.5), micros(&bench.from_acknowledgement, 0.99),
           (double)bench.from_acknowledgement.maximum / 1e3, micros(&bench.from_sending, 0.5),
           micros(&bench.from_sending, 0.99), micros(&bench.writes, 0.5),
           micros(&bench.writes, 0.99), (after.cpu_seconds - before.cpu_seconds) / seconds,
           cpu / seconds, (unsigned long long)after.anonymous_kib,
           (unsigned long long)after.shared_kib,
           (double)bench.received_bytes / (double)(bench.measured_delivered + 1));
    return 0;
}

/* ---- the command line ---- */

static void parse(struct live_settings *settings, int count, char **arguments)
{
    for (int i = 0; i + 1 < count; i += 2) {
        const char *name = arguments[i], *value = arguments[i + 1];
        if (strcmp(name, "--port") == 0) {
            settings->port = atoi(value);
        } else if (strcmp(name, "--topics") == 0) {
            settings->topics = (uint32_t)atol(value);
        } else if (strcmp(name, "--documents") == 0) {
            settings->documents = (uint32_t)atol(value);
        } else if (strcmp(name, "--subscribers") == 0) {
            settings->subscribers = (uint32_t)atol(value);
        } else if (strcmp(name, "--writers") == 0) {
            settings->writers = (uint32_t)atol(value);
        } else if (strcmp(name, "--rate") == 0) {
            settings->rate = atof(value);
        } else if (strcmp(name, "--window") == 0) {
            settings->window = (uint32_t)atol(value);
        } else if (strcmp(name, "--seconds") == 0) {
            settings->seconds = atof(value);
        } else if (strcmp(name, "--warmup") == 0) {
            settings->warmup = atof(value);
        } else if (strcmp(name, "--server-pid") == 0) {
            settings->server_pid = atoi(value);
        } else if (strcmp(name, "--label") == 0) {
            settings->label = value;
        } else {
            die("unknown option %s (live --help says what there is)", name);
        }
    }
    if (settings->documents == 0) {
        settings->documents = settings->topics;
    }
    if (settings->rate == 0 && settings->window == 0) {
        settings->window = 16;
    }
    /* A document has one writer, so that its commits have an order. */
    if (settings->writers > settings->documents) {
        settings->writers = settings->documents;
    }
    if (settings->port <= 0 || settings->topics == 0 || settings->writers == 0
        || settings->documents % settings->topics != 0) {
        die("--port, --topics and --writers must be above 0, --documents a multiple of --topics");
    }
}

/* As many sockets as the system lets us have. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int count, char **arguments)
{
    static const struct live_protocol *const protocols[] = {
        &mongo_live, &redis_live, &postgres_live, &pocketbase_live,
    };
    bench.settings = (struct live_settings){
        .topics = 1, .subscribers = 1, .writers = 16, .seconds = 5, .warmup = 1,
    };
    signal(SIGPIPE, SIG_IGN);
    raise_limit();
    if (count < 2 || arguments[1][0] == '-') {
        fputs(usage, stdout);
        return count < 2;
    }
    bench.settings.label = arguments[1];
    parse(&bench.settings, count - 2, arguments + 2);
    if (strcmp(arguments[1], "hold") == 0) {
        live_hold(bench.settings.port, bench.settings.topics);
    }
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        if (strcmp(protocols[i]->name, arguments[1]) == 0) {
            bench.protocol = protocols[i];
            return measure();
        }
    }
    die("unknown protocol %s (live --help says what there is)", arguments[1]);
}
