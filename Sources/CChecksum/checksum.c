// CRC-32C by the processor's instruction where there is one, by a table elsewhere.
#include "include/checksum.h"

#include <string.h>

#define POLYNOMIAL 0x82F63B78u

static uint32_t table[256];

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
        table[i] = crc;
    }
}

static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t count) {
    while (count--) crc = (crc >> 8) ^ table[(crc ^ *p++) & 0xFF];
    return crc;
}

#if defined(__x86_64__)

// The instruction takes three cycles to answer but one may start in each, so long inputs are read
// as three streams at once. A stream's sum is moved behind the bytes of the streams that follow by
// a multiplication with x^(8 * those bytes) modulo the polynomial (V. Gopal et al., "Fast CRC
// Computation for iSCSI Polynomial Using CRC32 Instruction", Intel 2011): `shifts[n]` is the factor
// for n words, less the 33 bits that the multiplication and its reduction add.

enum { STREAM_WORDS_MAX = 128, STREAM_WORDS_MIN = 4 };
static uint64_t shifts[2 * STREAM_WORDS_MAX + 1];
static int has_instructions;

__attribute__((constructor)) static void make_shifts(void) {
    // Bit 31 is x^0: x^31, which is x^(64 - 33), for one word.
    uint32_t power = 1;
    for (int words = 1; words <= 2 * STREAM_WORDS_MAX; words++) {
        shifts[words] = power;
        for (int bit = 0; bit < 64; bit++) power = (power >> 1) ^ (power & 1 ? POLYNOMIAL : 0);
    }
    __builtin_cpu_init();
    has_instructions = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

typedef long long words2 __attribute__((vector_size(16)));

__attribute__((target("sse4.2,pclmul"))) static uint64_t moved(uint64_t crc, uint64_t factor) {
    words2 left = {(long long)crc, 0}, right = {(long long)factor, 0};
    words2 product = __builtin_ia32_pclmulqdq128(left, right, 0);
    return __builtin_ia32_crc32di(0, (uint64_t)product[0]);
}

static uint64_t word_at(const uint8_t *p, size_t index) {
    uint64_t word;
    memcpy(&word, p + 8 * index, 8);
    return word;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t by_instruction(
    uint32_t crc, const uint8_t *p, size_t count) {
    uint64_t state = crc;
    while (count >= 3 * 8 * STREAM_WORDS_MIN) {
        size_t words = count / 24;
        if (words > STREAM_WORDS_MAX) words = STREAM_WORDS_MAX;
        const uint8_t *second = p + 8 * words, *third = second + 8 * words;
        uint64_t middle = 0, last = 0;
        for (size_t i = 0; i < words; i++) {
            state = __builtin_ia32_crc32di(state, word_at(p, i));
            middle = __builtin_ia32_crc32di(middle, word_at(second, i));
            last = __builtin_ia32_crc32di(last, word_at(third, i));
        }
        state = moved(state, shifts[2 * words]) ^ moved(middle, shifts[words]) ^ last;
        p += 24 * words;
        count -= 24 * words;
    }
    for (; count >= 8; p += 8, count -= 8) state = __builtin_ia32_crc32di(state, word_at(p, 0));
    for (; count; count--) state = __builtin_ia32_crc32qi((uint32_t)state, *p++);
    return (uint32_t)state;
}

uint32_t roost_crc32c(uint32_t crc, const void *bytes, size_t count) {
    crc = ~crc;
    crc = has_instructions ? by_instruction(crc, bytes, count) : by_table(crc, bytes, count);
    return ~crc;
}

#elif defined(__aarch64__)

__attribute__((target("crc"))) static uint32_t by_instruction(
    uint32_t crc, const uint8_t *p, size_t count) {
    for (; count >= 8; p += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        crc = __builtin_arm_crc32cd(crc, word);
    }
    for (; count; count--) crc = __builtin_arm_crc32cb(crc, *p++);
    return crc;
}

uint32_t roost_crc32c(uint32_t crc, const void *bytes, size_t count) {
    return ~by_instruction(~crc, bytes, count);
}

#else

uint32_t roost_crc32c(uint32_t crc, const void *bytes, size_t count) {
    return ~by_table(~crc, bytes, count);
}

#endif
