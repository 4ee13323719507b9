/* The ceiling: as many bytes there and back as MongoDB's point read takes, and nothing done in
 * between. Both ends are here; bench/run starts the answering end as a process of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

static size_t request_bytes, reply_bytes;

static void ping_prepare(const struct settings *settings)
{
    mongo_read_sizes(settings, &request_bytes, &reply_bytes);
}

static bool ping_open(struct connection *connection, const struct settings *settings)
{
    (void)connection;
    (void)settings;
    return true;
}

static bool ping_request(struct connection *connection)
{
    struct buffer *out = &connection->out;
    out->length = 0;
    buffer_reserve(out, request_bytes);
    out->length = request_bytes;
    store_le32(out->bytes, connection->key);
    return connection->operation == OP_READ;
}

static void ping_insert(struct buffer *out, uint32_t first, uint32_t number)
{
    (void)out;
    (void)first;
    (void)number;
}

static enum outcome ping_reply(struct connection *connection, const uint8_t *bytes, size_t length,
                               size_t *used)
{
    if (length < reply_bytes) {
        return REPLY_PARTIAL;
    }
    *used = reply_bytes;
    return load_le32(bytes) == connection->key ? REPLY_GOOD : REPLY_BAD;
}

const struct protocol ping_protocol = {
    .name = "ping",
    .prepare = ping_prepare,
    .open = ping_open,
    .request = ping_request,
    .insert = ping_insert,
    .reply = ping_reply,
};

/* ---- the answering end ---- */

static int listen_on(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 128) != 0) {
        die("can't listen on port %d: %s", port, strerror(errno));
    }
    return listener;
}

/* A request is small enough to come in one piece on loopback; a peer that sends less is cut off. */
static bool answer(int peer, uint8_t *request, uint8_t *reply)
{
    ssize_t got = recv(peer, request, request_bytes, 0);
    if (got != (ssize_t)request_bytes) {
        return false;
    }
    memcpy(reply, request, 4);
    return send(peer, reply, reply_bytes, MSG_NOSIGNAL) == (ssize_t)reply_bytes;
}

int pong_serve(const struct settings *settings)
{
    mongo_read_sizes(settings, &request_bytes, &reply_bytes);
    int listener = listen_on(settings->port);
    int poll = epoll_create1(0);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    uint8_t *request = calloc(1, request_bytes);
    uint8_t *reply = calloc(1, reply_bytes);
    if (request == NULL || reply == NULL) {
        die("out of memory");
    }
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            int peer = events[i].data.fd;
            if (peer == listener) {
                int yes = 1;
                peer = accept(listener, NULL, NULL);
                if (peer >= 0) {
                    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                    epoll_ctl(poll, EPOLL_CTL_ADD, peer,
                              &(struct epoll_event){.events = EPOLLIN, .data.fd = peer});
                }
            } else if (!answer(peer, request, reply)) {
                close(peer);
            }
        }
    }
}
