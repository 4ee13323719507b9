// The part of Intel's decimal library that BSON needs, over plain structs: nothing here touches a
// global, so every function is safe on any thread.
#ifndef ROOST_CDECIMAL_H
#define ROOST_CDECIMAL_H

#include <stdbool.h>
#include <stdint.h>

/// A decimal128 in its binary integer encoding.
typedef struct {
    uint64_t low;
    uint64_t high;
} decimal_bits;

/// IEEE 754 rounding directions, with Intel's numbers.
typedef enum : unsigned {
    decimal_nearest_even = 0,
    decimal_downward = 1,
    decimal_upward = 2,
    decimal_toward_zero = 3,
    decimal_nearest_away = 4,
} decimal_rounding;

decimal_bits decimal_add(decimal_bits x, decimal_bits y);
decimal_bits decimal_subtract(decimal_bits x, decimal_bits y);
decimal_bits decimal_multiply(decimal_bits x, decimal_bits y);
decimal_bits decimal_divide(decimal_bits x, decimal_bits y);
/// The remainder with the dividend's sign, as C's fmod.
decimal_bits decimal_remainder(decimal_bits x, decimal_bits y);
decimal_bits decimal_power(decimal_bits x, decimal_bits y);
decimal_bits decimal_square_root(decimal_bits x);
decimal_bits decimal_exponential(decimal_bits x);
decimal_bits decimal_natural_logarithm(decimal_bits x);
decimal_bits decimal_common_logarithm(decimal_bits x);
decimal_bits decimal_sine(decimal_bits x);
decimal_bits decimal_cosine(decimal_bits x);
decimal_bits decimal_tangent(decimal_bits x);
decimal_bits decimal_arcsine(decimal_bits x);
decimal_bits decimal_arccosine(decimal_bits x);
decimal_bits decimal_arctangent(decimal_bits x);
decimal_bits decimal_hyperbolic_sine(decimal_bits x);
decimal_bits decimal_hyperbolic_cosine(decimal_bits x);
decimal_bits decimal_hyperbolic_tangent(decimal_bits x);
decimal_bits decimal_hyperbolic_arcsine(decimal_bits x);
decimal_bits decimal_hyperbolic_arccosine(decimal_bits x);
decimal_bits decimal_hyperbolic_arctangent(decimal_bits x);
/// The angle of the point (x, y).
decimal_bits decimal_arctangent2(decimal_bits y, decimal_bits x);

/// `x` with the exponent of `y`; NaN where 34 digits don't hold that.
decimal_bits decimal_quantize(decimal_bits x, decimal_bits y, decimal_rounding rounding);
/// `x` as an integral value.
decimal_bits decimal_round_integral(decimal_bits x, decimal_rounding rounding);

/// -1, 0 or 1; 2 when either is NaN.
int decimal_compare(decimal_bits x, decimal_bits y);

/// Always exact.
decimal_bits decimal_from_int64(int64_t x);
/// `*exact` says whether `x` is integral and fits; else the result means nothing.
int64_t decimal_to_int64_exact(decimal_bits x, bool *exact);
/// `*exact` says whether 34 digits hold `x`.
decimal_bits decimal_from_double(double x, decimal_rounding rounding, bool *exact);
/// `*exact` says whether the double is `x`.
double decimal_to_double(decimal_bits x, decimal_rounding rounding, bool *exact);

#endif
