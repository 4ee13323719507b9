// libintelrdfpmath in its variant 000: arguments by value, rounding and flags as parameters.

#include "decimal.h"

#define DECIMAL_CALL_BY_REFERENCE 0
#define DECIMAL_GLOBAL_ROUNDING 0
#define DECIMAL_GLOBAL_EXCEPTION_FLAGS 0
#include <bid_conf.h>
#include <bid_functions.h>

static BID_UINT128 enter(decimal_bits x) {
    BID_UINT128 bits = {{x.low, x.high}};
    return bits;
}

static decimal_bits leave(BID_UINT128 x) {
    decimal_bits bits = {x.w[0], x.w[1]};
    return bits;
}

#define BINARY(name, function)                                                 \
    decimal_bits name(decimal_bits x, decimal_bits y) {                        \
        unsigned flags = 0;                                                    \
        return leave(function(enter(x), enter(y), BID_ROUNDING_TO_NEAREST, &flags)); \
    }

#define UNARY(name, function)                                                  \
    decimal_bits name(decimal_bits x) {                                        \
        unsigned flags = 0;                                                    \
        return leave(function(enter(x), BID_ROUNDING_TO_NEAREST, &flags));     \
    }

BINARY(decimal_add, bid128_add)
BINARY(decimal_subtract, bid128_sub)
BINARY(decimal_multiply, bid128_mul)
BINARY(decimal_divide, bid128_div)
BINARY(decimal_power, bid128_pow)
UNARY(decimal_square_root, bid128_sqrt)
UNARY(decimal_exponential, bid128_exp)
UNARY(decimal_natural_logarithm, bid128_log)
UNARY(decimal_common_logarithm, bid128_log10)
UNARY(decimal_sine, bid128_sin)
UNARY(decimal_cosine, bid128_cos)
UNARY(decimal_tangent, bid128_tan)
UNARY(decimal_arcsine, bid128_asin)
UNARY(decimal_arccosine, bid128_acos)
UNARY(decimal_arctangent, bid128_atan)
UNARY(decimal_hyperbolic_sine, bid128_sinh)
UNARY(decimal_hyperbolic_cosine, bid128_cosh)
UNARY(decimal_hyperbolic_tangent, bid128_tanh)
UNARY(decimal_hyperbolic_arcsine, bid128_asinh)
UNARY(decimal_hyperbolic_arccosine, bid128_acosh)
UNARY(decimal_hyperbolic_arctangent, bid128_atanh)
BINARY(decimal_arctangent2, bid128_atan2)

decimal_bits decimal_remainder(decimal_bits x, decimal_bits y) {
    unsigned flags = 0;
    return leave(bid128_fmod(enter(x), enter(y), &flags));
}

decimal_bits decimal_quantize(decimal_bits x, decimal_bits y, decimal_rounding rounding) {
    unsigned flags = 0;
    return leave(bid128_quantize(enter(x), enter(y), rounding, &flags));
}

decimal_bits decimal_round_integral(decimal_bits x, decimal_rounding rounding) {
    unsigned flags = 0;
    return leave(bid128_round_integral_exact(enter(x), rounding, &flags));
}

int decimal_compare(decimal_bits x, decimal_bits y) {
    unsigned flags = 0;
    BID_UINT128 left = enter(x), right = enter(y);
    if (bid128_quiet_equal(left, right, &flags)) return 0;
    if (bid128_quiet_less(left, right, &flags)) return -1;
    return bid128_quiet_greater(left, right, &flags) ? 1 : 2;
}

decimal_bits decimal_from_int64(int64_t x) {
    return leave(bid128_from_int64(x));
}

int64_t decimal_to_int64_exact(decimal_bits x, bool *exact) {
    unsigned flags = 0;
    int64_t result = bid128_to_int64_xint(enter(x), &flags);
    *exact = (flags & (BID_INEXACT_EXCEPTION | BID_INVALID_EXCEPTION)) == 0;
    return result;
}

decimal_bits decimal_from_double(double x, decimal_rounding rounding, bool *exact) {
    unsigned flags = 0;
    BID_UINT128 result = binary64_to_bid128(x, rounding, &flags);
    *exact = (flags & BID_INEXACT_EXCEPTION) == 0;
    return leave(result);
}

double decimal_to_double(decimal_bits x, decimal_rounding rounding, bool *exact) {
    unsigned flags = 0;
    double result = bid128_to_binary64(enter(x), rounding, &flags);
    *exact = (flags & BID_INEXACT_EXCEPTION) == 0;
    return result;
}
