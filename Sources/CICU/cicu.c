#include "cicu.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/ucol.h>
#include <unicode/uloc.h>
#include <unicode/unorm2.h>
#include <unicode/usprep.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

static UCollator *mutable_icu(cicu_collator *collator) { return (UCollator *)collator; }

static const UCollator *icu(const cicu_collator *collator) { return (const UCollator *)collator; }

cicu_status cicu_open(const char *locale, cicu_collator **result, char *canonical) {
    UErrorCode status = U_ZERO_ERROR;
    *result = NULL;
    uloc_getName(locale, canonical, CICU_LOCALE_BYTES, &status);
    if (U_FAILURE(status) || status == U_STRING_NOT_TERMINATED_WARNING) return CICU_UNKNOWN_LOCALE;
    status = U_ZERO_ERROR;
    UCollator *collator = ucol_open(locale, &status);
    if (U_FAILURE(status)) return CICU_FAILED;
    // For what it doesn't know, ICU falls back to the root's collation.
    UErrorCode located = U_ZERO_ERROR;
    const char *valid = ucol_getLocaleByType(collator, ULOC_VALID_LOCALE, &located);
    if (U_FAILURE(located) || valid == NULL || valid[0] == 0 || strcmp(valid, "root") == 0) {
        ucol_close(collator);
        return CICU_UNKNOWN_LOCALE;
    }
    if (strcmp(canonical, locale) != 0) {
        ucol_close(collator);
        return CICU_NOT_CANONICAL;
    }
    *result = (cicu_collator *)collator;
    return CICU_OK;
}

void cicu_close(cicu_collator *collator) { ucol_close(mutable_icu(collator)); }

static UColAttribute attribute(cicu_option option) {
    switch (option) {
    case CICU_STRENGTH: return UCOL_STRENGTH;
    case CICU_CASE_LEVEL: return UCOL_CASE_LEVEL;
    case CICU_CASE_FIRST: return UCOL_CASE_FIRST;
    case CICU_NUMERIC: return UCOL_NUMERIC_COLLATION;
    case CICU_ALTERNATE: return UCOL_ALTERNATE_HANDLING;
    case CICU_NORMALIZATION: return UCOL_NORMALIZATION_MODE;
    case CICU_BACKWARDS: return UCOL_FRENCH_COLLATION;
    case CICU_MAX_VARIABLE: break;
    }
    return UCOL_ATTRIBUTE_COUNT;
}

static UColAttributeValue icu_value(cicu_option option, int value) {
    switch (option) {
    case CICU_STRENGTH:
        return value == 5 ? UCOL_IDENTICAL : (UColAttributeValue)(UCOL_PRIMARY + value - 1);
    case CICU_CASE_FIRST:
        return value == 0 ? UCOL_OFF : value == 1 ? UCOL_LOWER_FIRST : UCOL_UPPER_FIRST;
    case CICU_ALTERNATE: return value ? UCOL_SHIFTED : UCOL_NON_IGNORABLE;
    default: return value ? UCOL_ON : UCOL_OFF;
    }
}

bool cicu_set(cicu_collator *collator, cicu_option option, int value) {
    UErrorCode status = U_ZERO_ERROR;
    if (option == CICU_MAX_VARIABLE) {
        UColReorderCode group = value ? UCOL_REORDER_CODE_SPACE : UCOL_REORDER_CODE_PUNCTUATION;
        ucol_setMaxVariable(mutable_icu(collator), group, &status);
    } else {
        ucol_setAttribute(mutable_icu(collator), attribute(option), icu_value(option, value),
                          &status);
    }
    return U_SUCCESS(status);
}

int cicu_get(const cicu_collator *collator, cicu_option option) {
    if (option == CICU_MAX_VARIABLE)
        return ucol_getMaxVariable(icu(collator)) == UCOL_REORDER_CODE_SPACE;
    UErrorCode status = U_ZERO_ERROR;
    UColAttributeValue value = ucol_getAttribute(icu(collator), attribute(option), &status);
    switch (option) {
    case CICU_STRENGTH: return value == UCOL_IDENTICAL ? 5 : (int)(value - UCOL_PRIMARY) + 1;
    case CICU_CASE_FIRST: return value == UCOL_OFF ? 0 : value == UCOL_LOWER_FIRST ? 1 : 2;
    case CICU_ALTERNATE: return value == UCOL_SHIFTED;
    default: return value == UCOL_ON;
    }
}

int cicu_compare(const cicu_collator *collator, const char *left, int32_t left_count,
                 const char *right, int32_t right_count) {
    UErrorCode status = U_ZERO_ERROR;
    return (int)ucol_strcollUTF8(icu(collator), left, left_count, right, right_count, &status);
}

uint32_t cicu_key_version(void) {
    UErrorCode status = U_ZERO_ERROR;
    UCollator *root = ucol_open("", &status);
    if (U_FAILURE(status)) return 0;
    UVersionInfo version;
    ucol_getVersion(root, version);
    ucol_close(root);
    return (uint32_t)version[0] << 24 | (uint32_t)version[1] << 16 | (uint32_t)version[2] << 8 |
           version[3];
}

int32_t cicu_sort_key(const cicu_collator *collator, const char *utf8, int32_t count,
                      uint16_t *scratch, uint8_t *key, int32_t capacity) {
    UErrorCode status = U_ZERO_ERROR;
    int32_t units = 0;
    // UTF-16 never has more units than UTF-8 has bytes; what is no UTF-8 becomes U+FFFD.
    u_strFromUTF8WithSub((UChar *)scratch, count, &units, utf8, count, 0xFFFD, NULL, &status);
    if (U_FAILURE(status)) return 0;
    int32_t size = ucol_getSortKey(icu(collator), (const UChar *)scratch, units, key, capacity);
    return size > 0 ? size - 1 : 0;
}

int32_t cicu_without_marks(const char *utf8, int32_t count, char *result, int32_t capacity) {
    UErrorCode status = U_ZERO_ERROR;
    const UNormalizer2 *normalizer = unorm2_getNFDInstance(&status);
    if (U_FAILURE(status) || count < 0 || count > 100000000) return 0;
    // A unit of UTF-8 gives one of UTF-16 at most, and decomposing gives four for one at most.
    int32_t room = 4 * count + 1;
    UChar *units = malloc(sizeof(UChar) * (size_t)(count + 1 + room));
    if (units == NULL) return 0;
    UChar *decomposed = units + count + 1;
    int32_t unit_count = 0;
    int32_t written = 0;
    u_strFromUTF8(units, count + 1, &unit_count, utf8, count, &status);
    int32_t size = unorm2_normalize(normalizer, units, unit_count, decomposed, room, &status);
    if (U_SUCCESS(status)) {
        int32_t kept = 0;
        for (int32_t i = 0; i < size;) {
            int32_t start = i;
            UChar32 letter;
            U16_NEXT(decomposed, i, size, letter);
            if (u_charType(letter) == U_NON_SPACING_MARK) continue;
            while (start < i) decomposed[kept++] = decomposed[start++];
        }
        u_strToUTF8(result, capacity, &written, decomposed, kept, &status);
    }
    free(units);
    return U_SUCCESS(status) ? written : 0;
}

int32_t cicu_saslprep(const char *utf8, int32_t count, char *result, int32_t capacity) {
    if (count < 0 || count > (1 << 16)) return -1;
    UErrorCode status = U_ZERO_ERROR;
    int32_t size = -1;
    // Compatibility composition may make a character up to 18 times as long.
    int32_t room = count * 18 + 16;
    UStringPrepProfile *profile = usprep_openByType(USPREP_RFC4013_SASLPREP, &status);
    UChar *given = malloc(sizeof(UChar) * (size_t)(count + 1));
    UChar *prepared = malloc(sizeof(UChar) * (size_t)room);
    if (U_SUCCESS(status) && given != NULL && prepared != NULL) {
        int32_t units = 0;
        u_strFromUTF8(given, count + 1, &units, utf8, count, &status);
        int32_t length =
            usprep_prepare(profile, given, units, prepared, room, USPREP_DEFAULT, NULL, &status);
        int32_t written = 0;
        u_strToUTF8(result, capacity, &written, prepared, length, &status);
        if (U_SUCCESS(status)) size = written;
    }
    free(given);
    free(prepared);
    if (profile != NULL) usprep_close(profile);
    return size;
}

int cicu_width(uint32_t scalar) {
    UChar32 c = (UChar32)scalar;
    switch (u_charType(c)) {
    case U_NON_SPACING_MARK:
    case U_ENCLOSING_MARK:
    case U_FORMAT_CHAR: return 0;
    default: break;
    }
    switch (u_getIntPropertyValue(c, UCHAR_HANGUL_SYLLABLE_TYPE)) {
    case U_HST_VOWEL_JAMO:
    case U_HST_TRAILING_JAMO: return 0;
    default: break;
    }
    switch (u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH)) {
    case U_EA_WIDE:
    case U_EA_FULLWIDTH: return 2;
    default: return 1;
    }
}
