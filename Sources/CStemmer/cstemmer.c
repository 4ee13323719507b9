#include "cstemmer.h"

#include <libstemmer.h>
#include <limits.h>

static struct sb_stemmer *own(cstemmer *stemmer) { return (struct sb_stemmer *)stemmer; }

cstemmer *cstemmer_new(const char *language) {
    return (cstemmer *)sb_stemmer_new(language, "UTF_8");
}

void cstemmer_free(cstemmer *stemmer) { sb_stemmer_delete(own(stemmer)); }

const uint8_t *cstemmer_stem(cstemmer *stemmer, const uint8_t *word, size_t count, size_t *size) {
    if (count > INT_MAX) return NULL;
    const sb_symbol *stem = sb_stemmer_stem(own(stemmer), word, (int)count);
    if (stem != NULL) *size = (size_t)sb_stemmer_length(own(stemmer));
    return stem;
}
