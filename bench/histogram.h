/* Latencies in logarithmic buckets: 64 to each power of two, so at most 1.6 % off. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 64 * 38 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t maximum;
};

void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t nanoseconds);
/* The latency in ns that `share` (0 ... 1) of all stay at or below. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
