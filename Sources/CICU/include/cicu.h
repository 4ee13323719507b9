// The part of ICU that Roost uses. ICU's own names are macros that add a version, which Swift does
// not see; these functions are plain ones.
#ifndef CICU_H
#define CICU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A collator (ICU's UCollator).
typedef struct cicu_collator cicu_collator;

typedef enum cicu_status {
    CICU_OK,
    /// ICU has no data for the locale.
    CICU_UNKNOWN_LOCALE,
    /// The locale is not in canonical form, which was written to `canonical`.
    CICU_NOT_CANONICAL,
    /// ICU lacks memory or its data.
    CICU_FAILED,
} cicu_status;

/// What can be set. Values of the flags are 0 and 1.
typedef enum cicu_option {
    /// 1 to 5.
    CICU_STRENGTH,
    CICU_CASE_LEVEL,
    /// 0 off, 1 lower, 2 upper.
    CICU_CASE_FIRST,
    CICU_NUMERIC,
    /// 0 non-ignorable, 1 shifted.
    CICU_ALTERNATE,
    /// 0 punct, 1 space.
    CICU_MAX_VARIABLE,
    CICU_NORMALIZATION,
    CICU_BACKWARDS,
} cicu_option;

/// Bytes that `canonical` must have room for.
enum { CICU_LOCALE_BYTES = 160 };

/// Opens the collator of a locale; `*result` is to be closed.
cicu_status cicu_open(const char *locale, cicu_collator **result, char *canonical);
void cicu_close(cicu_collator *collator);

/// Sets an option; false when ICU refuses it. Not while another thread uses the collator.
bool cicu_set(cicu_collator *collator, cicu_option option, int value);
/// The value of an option, as `cicu_set` takes it.
int cicu_get(const cicu_collator *collator, cicu_option option);

/// Order of two strings of UTF-8: negative, zero or positive.
int cicu_compare(const cicu_collator *collator, const char *left, int32_t left_count,
                 const char *right, int32_t right_count);

/// The version of ICU's collation data; sort keys of different ones must not be compared. 0 when
/// ICU lacks its data.
uint32_t cicu_key_version(void);

/// Writes the sort key of `utf8` without the 0 behind it and returns its size, which may exceed
/// `capacity`; then nothing useful was written. `scratch` has room for `count` units. A sort key
/// holds no byte 0.
int32_t cicu_sort_key(const cicu_collator *collator, const char *utf8, int32_t count,
                      uint16_t *scratch, uint8_t *key, int32_t capacity);

/// Writes `utf8` in canonical decomposition without nonspacing marks, so without accents, and
/// returns its size; 0 when ICU fails or `capacity` is too small.
int32_t cicu_without_marks(const char *utf8, int32_t count, char *result, int32_t capacity);

/// Prepares a password or name by SASLprep (RFC 4013) and returns its size; -1 when it holds what
/// may not be in one, ICU fails or `capacity` is too small.
int32_t cicu_saslprep(const char *utf8, int32_t count, char *result, int32_t capacity);

/// How many columns of a terminal a character takes: 0 for marks that join the one before, 2 for
/// wide ones, else 1.
int cicu_width(uint32_t scalar);

#endif
