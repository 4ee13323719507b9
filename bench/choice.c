/* The zipfian generator is the one of Gray et al., "Quickly generating billion-record synthetic
 * databases" (SIGMOD 1994), which YCSB uses too. */
#include "choice.h"

#include <math.h>

static const double exponent = 0.99;

void choice_begin(struct choice *choice, uint64_t seed, uint32_t items)
{
    choice->state = seed * 0x9e3779b97f4a7c15ULL + 1;
    choice->items = items;
    choice->zeta = 0;
    for (uint32_t item = 1; item <= items; item++) {
        choice->zeta += 1 / pow(item, exponent);
    }
    double zeta2 = 1 + 1 / pow(2, exponent);
    choice->alpha = 1 / (1 - exponent);
    choice->eta = (1 - pow(2.0 / items, 1 - exponent)) / (1 - zeta2 / choice->zeta);
    choice->half = 1 + pow(0.5, exponent);
}

uint64_t choice_bits(struct choice *choice)
{
    /* xorshift64*: cheap, and good enough to choose keys. */
    uint64_t x = choice->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    choice->state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

uint32_t choice_below(struct choice *choice, uint32_t limit)
{
    return (uint32_t)((choice_bits(choice) >> 32) * limit >> 32);
}

uint32_t choice_zipfian(struct choice *choice)
{
    double uniform = (double)(choice_bits(choice) >> 11) * 0x1p-53;
    double scaled = uniform * choice->zeta;
    uint64_t rank;
    if (scaled < 1) {
        rank = 0;
    } else if (scaled < choice->half) {
        rank = 1;
    } else {
        rank = (uint64_t)(choice->items * pow(choice->eta * uniform - choice->eta + 1,
                                              choice->alpha));
    }
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (int byte = 0; byte < 8; byte++, rank >>= 8) {
        hash = (hash ^ (rank & 0xff)) * 0x100000001b3ULL;
    }
    return (uint32_t)(hash % choice->items);
}
