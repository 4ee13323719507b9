// Stemming, by libstemmer: a word's stem in a natural language.
#ifndef CSTEMMER_H
#define CSTEMMER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A stemmer; used by one thread at a time.
typedef struct cstemmer cstemmer;

/// A stemmer for a language by its English name; null when there is none, or no memory.
cstemmer *cstemmer_new(const char *language);
void cstemmer_free(cstemmer *stemmer);
/// The stem of a word of UTF-8 and its size; it stands until the next call. Null without memory.
const uint8_t *cstemmer_stem(cstemmer *stemmer, const uint8_t *word, size_t count, size_t *size);

#ifdef __cplusplus
}
#endif

#endif
