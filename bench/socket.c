#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static struct timespec clock_now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time;
}

uint64_t now_ns(void)
{
    struct timespec time = clock_now(CLOCK_MONOTONIC);
    return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

double cpu_seconds(void)
{
    struct timespec time = clock_now(CLOCK_PROCESS_CPUTIME_ID);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        die("can't connect to port %d: %s", port, strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

bool send_all(int fd, const void *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes = (const char *)bytes + sent;
        length -= (size_t)sent;
    }
    return true;
}

bool receive_exactly(int fd, void *bytes, size_t length)
{
    while (length > 0) {
        ssize_t got = recv(fd, bytes, length, 0);
        if (got <= 0) {
            return false;
        }
        bytes = (char *)bytes + got;
        length -= (size_t)got;
    }
    return true;
}
