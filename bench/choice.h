/* Which document an operation is about: uniform, or zipfian as YCSB has it. */
#ifndef BENCH_CHOICE_H
#define BENCH_CHOICE_H

#include <stdint.h>

struct choice {
    uint64_t state;
    uint32_t items;
    /* Constants of the zipfian distribution with exponent 0.99. */
    double zeta;
    double alpha;
    double eta;
    double half;
};

void choice_begin(struct choice *choice, uint64_t seed, uint32_t items);
uint64_t choice_bits(struct choice *choice);
uint32_t choice_below(struct choice *choice, uint32_t limit);
/* Popular documents are spread over the whole range by a hash. */
uint32_t choice_zipfian(struct choice *choice);

#endif
