/* Sockets as the load generators use them, and clocks. */
#ifndef BENCH_SOCKET_H
#define BENCH_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A blocking connection to a port of this machine, without Nagle's delay; ends the process where
 * nobody listens. */
int connect_to(int port);
/* For blocking sockets; false when the other side has closed. */
bool send_all(int fd, const void *bytes, size_t length);
bool receive_exactly(int fd, void *bytes, size_t length);

/* The monotonic clock. */
uint64_t now_ns(void);
/* What this process has used so far. */
double cpu_seconds(void);

/* Each program's own: says why and ends the process. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
