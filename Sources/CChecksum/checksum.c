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

__attribute__((target("sse4.2"))) static uint32_t by_instruction(
    uint32_t crc, const uint8_t *p, size_t count) {
    uint64_t state = crc;
    for (; count >= 8; p += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        state = __builtin_ia32_crc32di(state, word);
    }
    for (; count; count--) state = __builtin_ia32_crc32qi((uint32_t)state, *p++);
    return (uint32_t)state;
}

uint32_t roost_crc32c(uint32_t crc, const void *bytes, size_t count) {
    crc = ~crc;
    crc = __builtin_cpu_supports("sse4.2") ? by_instruction(crc, bytes, count)
                                           : by_table(crc, bytes, count);
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
