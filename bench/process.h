/* What /proc says about a server: a process and all its descendants. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdint.h>

struct process_usage {
    double cpu_seconds;    /* user and system, children that have ended included */
    uint64_t anonymous_kib; /* RssAnon of all: memory without file-backed pages */
    uint64_t shared_kib;   /* the largest RssShmem among them: PostgreSQL's buffers */
};

/* Zeros for pid 0 and for one that isn't there. */
struct process_usage process_usage(int pid);

#endif
