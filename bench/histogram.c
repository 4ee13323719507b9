#include "histogram.h"

#include <string.h>

static unsigned bucket_of(uint64_t value)
{
    if (value < 64) {
        return (unsigned)value;
    }
    unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
    unsigned bucket = (exponent - 5) * 64 + (unsigned)((value >> (exponent - 6)) - 64);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t value_of(unsigned bucket)
{
    if (bucket < 64) {
        return bucket;
    }
    unsigned exponent = bucket / 64 + 5;
    uint64_t width = 1ULL << (exponent - 6);
    return (64 + bucket % 64) * width + width / 2;
}

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void histogram_add(struct histogram *histogram, uint64_t nanoseconds)
{
    histogram->counts[bucket_of(nanoseconds)]++;
    histogram->total++;
    if (nanoseconds > histogram->maximum) {
        histogram->maximum = nanoseconds;
    }
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total + 0.5);
    if (wanted == 0) {
        wanted = 1;
    }
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= wanted) {
            uint64_t value = value_of(bucket);
            return value < histogram->maximum ? value : histogram->maximum;
        }
    }
    return histogram->maximum;
}
