// Elementary functions whose bits are the same on every machine, whatever the width of its registers.
//
// They are made of correctly rounded operations alone (registers.h), in one fixed order, without a table, a branch or a
// call, save for the sine and cosine of angles beyond 2^30. Polynomials are fits of the function named beside them, of
// least largest or least squared relative error (Remez; Chebyshev's nodes), each coefficient rounded in turn and the
// rest fitted again; their own error is named, too. "Within" is the largest error measured against long doubles, over
// every 101st float (10007th for those computed as doubles) and millions of doubles. Infinities, nan, zeros of either
// sign and denormals are those of IEEE 754.
#pragma once
#include "registers.h"

#define BOTH template <typename V> INLINE

// Constants of the same kind as the first argument. steady(v) + n holds the integer n in its lowest bits.
INLINE F constant(F, double value) { return all((float)value); }
INLINE D constant(D, double value) { return all(value); }
INLINE F steady(F) { return all(0x1.8p23f); }
INLINE D steady(D) { return all(0x1.8p52); }
BOTH V infinity(V v) { return constant(v, INFINITE); }
BOTH V not_a_number(V v) { return constant(v, NOT_A_NUMBER); }

// Horner's scheme, the coefficient of the highest power first.
template <typename V, typename S, typename... Rest> INLINE V polynomial(V x, S first, Rest... rest) {
    V sum = all(first);
    ((sum = fma(sum, x, all(rest))), ...);
    return sum;
}

// ---- Signs, rounding, order: exact ----

INLINE F absv(F v) { return number(bits(v) & 0x7fffffff); }
INLINE D absv(D v) { return number(bits(v) & 0x7fffffffffffffff); }
BOTH V copysignv(V magnitude, V sign) {
    return number(bits(absv(magnitude)) | (bits(sign) & bits(constant(sign, -0.))));
}
// To the nearest integer, the even one of two. From 2^23 (2^52) on there is nothing to round.
BOTH V round_below(V whole, V v) {
    V size = absv(v);
    return select(size < whole, copysignv((size + whole) - whole, v), v);
}
INLINE F roundv(F v) { return round_below(all(0x1p23f), v); }
INLINE D roundv(D v) { return round_below(all(0x1p52), v); }
// As torch does it: nan if either is, and 0 for the sign of nan.
BOTH V minv(V a, V b) { return select((a < b) | (a != a), a, b); }
BOTH V maxv(V a, V b) { return select((a > b) | (a != a), a, b); }
BOTH V signv(V v) { return select(v > 0, constant(v, 1), select(v < 0, constant(v, -1), constant(v, 0))); }
// These keep nan, too, as a comparison with it is false.
BOTH V at_most(V v, V high) { return select(v > high, high, v); }
BOTH V at_least(V v, V low) { return select(v < low, low, v); }

// ---- Exponentials ----

// x = n log(2) + rest, n being the integer nearest to x / log(2), or to about / log(2); steps = steady + n. The first
// product's difference is exact: both are multiples of the same unit (Cody and Waite 1980, with fma).
INLINE F exp_rest(F x, F about, F& steps) {
    steps = fma(about, all(0x1.715476p+0f), steady(x));
    F n = steps - steady(x);
    return fma(n, all(0x1.05c61p-29f), fma(n, all(-0x1.62e43p-1f), x));
}
INLINE D exp_rest(D x, D about, D& steps) {
    steps = fma(about, all(0x1.71547652b82fep+0), steady(x));
    D n = steps - steady(x);
    return fma(n, all(-0x1.abc9e3b39803fp-56), fma(n, all(-0x1.62e42fefa39efp-1), x));
}
// (exp(r) - 1 - r) / r^2 for |r| < 0.511: 2^-27 and 2^-60 of exp(r) - 1.
INLINE F exp_series(F r) {
    return polynomial(r, 0.000197132744f, 0.00139859179f, 0.00833409373f, 0.041665785f, 0.166666597f, 0.5f);
}
INLINE D exp_series(D r) {
    return polynomial(r, 1.604655204571823e-10, 2.0970309612503388e-09, 2.5052484795100739e-08, 2.7557031233791637e-07,
                      2.7557317901432219e-06, 2.4801587713740584e-05, 0.00019841269843110974, 0.0013888888888621063,
                      0.0083333333333322785, 0.041666666666667275, 0.16666666666666669, 0.5);
}
// n at the place of the exponent, of steps = steady + n.
INLINE FI exponent(F steps) { return bits(steps) << 23; }
INLINE DI exponent(D steps) { return bits(steps) << 52; }
// exp(n log(2) + r): 2^n as two factors, for one of them may be too large or too small, and only the last one rounds.
BOTH V exp_of(V r, V steps) {
    V one = constant(r, 1), y = fma(fma(exp_series(r), r, one), r, one);
    auto whole = exponent(steps), half = exponent(fma(steps - steady(r), constant(r, 0.5), steady(r)));
    return y * number(half + bits(one)) * number(whole - half + bits(one));
}
BOTH V exp_within(V x) {
    V steps, r = exp_rest(x, x, steps);
    return exp_of(r, steps);
}
// Beyond these the results are 0 and infinite.
INLINE F exp_lowest(F) { return all(-104.f); }
INLINE D exp_lowest(D) { return all(-746.); }
INLINE F exp_highest(F) { return all(89.f); }
INLINE D exp_highest(D) { return all(710.); }

// expv: within 0.85, as doubles 0.86 ulp.
BOTH V expv(V x) { return exp_within(at_most(at_least(x, exp_lowest(x)), exp_highest(x))); }

// sigmoidv: within 1.55, as doubles 1.63 ulp. With e = exp(-|x|) and q = e / (1 + e): 1 - q, and for x < 0
// e - e q, which loses less than q.
BOTH V sigmoidv(V x) {
    V minus = number(bits(x) | bits(constant(x, -0.))), e = exp_within(at_least(minus, exp_lowest(x)));
    V most = select(x < 0, e, constant(x, 1));
    return fma(-most, e / (e + 1), most);
}

// exp(x) = 2^n (1 + result). An n nearest to a number somewhat closer to 0 lets the sum with 2^n cancel less.
BOTH V expm1_part(V x, V about, V& steps) {
    V r = exp_rest(x, about, steps);
    return fma(r * r, exp_series(r), r);
}

// expm1v: within 1.24, as doubles 1.33 ulp. Scaled by half of 2^n, for 2^n may be infinite where the result is not.
BOTH V expm1v(V x) {
    V steps, near = at_most(at_least(x, constant(x, -60)), exp_highest(x));
    V part = expm1_part(near, near - select(x > 0, constant(x, 0.163), constant(x, 0)), steps);
    V scale = number(exponent(steps) + bits(constant(x, 0.5))), half = fma(scale, part, scale - constant(x, 0.5));
    return select(absv(x) < constant(x, 0x1p-60), x, half + half);
}

// tanhv: within 1.99, as doubles 1.96 ulp. |e / (e + 2)| with e = exp(2 |x|) - 1, which is 1 from 20 on; below 0.22
// with e = exp(-2 |x|) - 1, whose sum with 2 loses less.
BOTH V tanhv(V x) {
    V size = absv(x), two = select(size < constant(x, 0.22), constant(x, -2), constant(x, 2)), steps;
    V angle = at_most(size, constant(x, 20)) * two, about = fma(two, constant(x, -0.0815), angle);
    V part = expm1_part(angle, about, steps);
    V scale = number(exponent(steps) + bits(constant(x, 1))), e = fma(scale, part, scale - 1);
    return copysignv(e / (e + 2), x);
}

// ---- Logarithms ----

// x = 2^n (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), for x > 0. A denormal is scaled first.
INLINE F log_split(F x, F& n) {
    FI denormal = x < 0x1p-126f;
    FI at = bits(select(denormal, x * 0x1p23f, x)) + (0x3f800000 - 0x3f3504f3);
    n = number((at >> 23) + bits(steady(x))) - select(denormal, steady(x) + (127 + 23), steady(x) + 127);
    return number((at & 0x007fffff) + 0x3f3504f3) - 1;
}
INLINE D log_split(D x, D& n) {
    DI denormal = x < 0x1p-1022;
    DI at = bits(select(denormal, x * 0x1p52, x)) + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
    n = number((at >> 52) + bits(steady(x))) - select(denormal, steady(x) + (1023 + 52), steady(x) + 1023);
    return number((at & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd) - 1;
}
// y, the logarithm of x, except where x is not a positive finite number.
BOTH V log_ends(V x, V y) {
    return select(x > 0, select(x < infinity(x), y, x), select(x == 0, -infinity(x), not_a_number(x)));
}

// logv: within 0.89, as doubles 0.81 ulp.
INLINE F logv(F x) {
    F n, f = log_split(x, n);
    // (log(1 + f) - f) / f^2: 2^-26 of log(1 + f)
    F series = polynomial(f, -0.0765956193f, 0.129283622f, -0.13239947f, 0.141771406f, -0.16608642f, 0.200022027f,
                          -0.250016093f, 0.333333224f, -0.499999881f);
    return log_ends(x, fma(n, all(0x1.62e43p-1f), fma(f * f, series, fma(n, all(-0x1.05c61p-29f), f))));
}

// n log(2) + log(1 + f) + tail, by s = f / (2 + f): log(1 + f) = 2 artanh(s) = f - s (f - (2 artanh(s) - 2 s) / s).
INLINE D log_sum(D n, D f, D tail) {
    D s = f / (f + 2), z = s * s, half = f * f * 0.5;
    // (2 artanh(s) - 2 s) / s^3: 2^-59 of 2 artanh(s)
    D series = z * polynomial(z, 0.14795628485851578, 0.15314085375692249, 0.18183562829377706, 0.2222219860546969,
                              0.28571428742024596, 0.39999999999416652, 0.6666666666666734);
    D rest = half - fma(s, half + series, fma(n, all(0x1.abc9e3b39803fp-56), tail));
    return fma(n, all(0x1.62e42fefa39efp-1), f - rest);
}
INLINE D logv(D x) {
    D n, f = log_split(x, n);
    return log_ends(x, log_sum(n, f, all(0.)));
}

// log1pv: within 0.51, as doubles 0.79 ulp. What 1 + x loses by rounding (Knuth's two-sum) is added to first order.
INLINE D log1pv(D x) {
    D sum = x + 1, back = sum - x, lost = (1 - back) + (x - (sum - back)), n, f = log_split(sum, n);
    return select(absv(x) < 0x1p-54, x, log_ends(sum, log_sum(n, f, lost / sum)));
}

// ---- Powers ----

// log(x) as a sum of two for x > 0, to 2^-65 of it: log_sum in error-free transformations (Dekker 1971), with log(2) as
// a product with n that is exact, and a rest.
INLINE D log_pair(D x, D& low) {
    D n, f = log_split(x, n);
    D d = f + 2, inverse = 1 / d, s = f * inverse, s_low = fma(-s, f - (d - 2), fma(-s, d, f)) * inverse;
    D z = s * s, z_low = fma(s, s, -z) + s * s_low * 2;
    // ((2 artanh(s) - 2 s) / s^3 - 2/3) / s^2: 2^-73 of 2 artanh(s)
    D rest = polynomial(z, 0.11981755164062584, 0.11675780654396556, 0.13336264495916106, 0.15384558428712355,
                        0.18181818843990177, 0.22222222217789753, 0.28571428571443841, 0.3999999999999998);
    D third = all(0x1.5555555555555p-1), more = fma(z, rest, all(0x1.5555555555555p-55));
    D a = third + more, a_low = (third - a) + more;
    D q = z * a, q_low = fma(z, a, -q) + fma(z, a_low, z_low * a);
    D t = q + 2, t_low = ((2 - t) + q) + q_low;
    D y = s * t, y_low = fma(s, t, -y) + fma(s, t_low, s_low * t);
    D whole = n * 0x1.62e42fefa38p-1, high = whole + y;
    low = ((whole - high) + y) + fma(n, all(0x1.ef35793c7673p-45), y_low);
    return high;
}

// x^y from |x|^y, by the rules of IEEE 754: nan for x < 0 unless y is an integer, the sign of x if it is odd.
BOTH V power_ends(V x, V y, V magnitude) {
    V one = constant(x, 1), half = y * constant(y, 0.5);
    decltype(bits(x)) odd = (roundv(y) == y) & (roundv(half) != half), negative = bits(x) < 0;
    V result = select(odd & negative, -magnitude, magnitude);
    result = select((x < 0) & (x > -infinity(x)) & (roundv(y) != y), not_a_number(x), result);
    return select((x == one) | (y == 0) | ((absv(x) == one) & (absv(y) == infinity(y))), one, result);
}

// powv: within 0.51, as doubles 1.18 ulp.
INLINE D powv(D x, D y) {
    D base = absv(x), low, high = log_pair(base, low);
    high = log_ends(base, high);
    D product = y * high, product_low = fma(y, high, -product) + y * low, steps;
    D near = at_most(at_least(product, exp_lowest(x)), exp_highest(x)), r = exp_rest(near, near, steps);
    D magnitude = exp_of(r + select(absv(product) < 1000, product_low, all(0.)), steps);
    return power_ends(x, y, magnitude);
}

// ---- Sine and cosine ----

// The angles beyond 2^30, one by one: of 2/pi the 192 bits that matter (Payne and Hanek 1983).
// angle = quadrant pi/2 + turn pi/2; both parts of turn are exact to 2^-126.
OUTLINE void huge_angle(D x, DI& quadrant, D& turn, D& turn_low) {
    static constexpr unsigned long long two_over_pi[] = {
        0,  // for angles of less than 2^63
        0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561, 0xb7246e3a424dd2e0,
        0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41, 0x3991d639835339f4,
        0x9c845f8bbdf9283b, 0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d,
        0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab};
    DI number_of = bits(x);
    quadrant = DI{}, turn = turn_low = D{};
    long long *in = lanes_of(number_of), *quadrants = lanes_of(quadrant);
    double *high = lanes_of(turn), *low = lanes_of(turn_low);
    for (int lane = 0; lane < WD; lane++) {
        int at = (int)(in[lane] >> 52 & 0x7ff) - 1075 + 62, shift = at & 63;
        if (at < 0 || at > 971 + 62) continue;
        unsigned long long digits = (in[lane] & 0x000fffffffffffff) | 0x0010000000000000, window[3];
        for (int k = 0; k < 3; k++) {
            const unsigned long long* word = two_over_pi + (at >> 6) + k;
            window[k] = word[0] << shift | word[1] >> 1 >> (63 - shift);
        }
        unsigned __int128 middle = (unsigned __int128)digits * window[1];
        middle += (unsigned __int128)digits * window[2] >> 64;
        unsigned __int128 product = middle + ((unsigned __int128)(digits * window[0]) << 64);  // in 2^-126, modulo 4
        quadrants[lane] = (long long)((product + ((unsigned __int128)1 << 125)) >> 126);
        __int128 rest = (__int128)(product - ((unsigned __int128)quadrants[lane] << 126));
        if (in[lane] < 0) rest = -rest, quadrants[lane] = -quadrants[lane];
        high[lane] = (double)rest, low[lane] = (double)(rest - (__int128)high[lane]);
    }
    turn = select(absv(x) < infinity(x), turn * 0x1p-126, not_a_number(x)), turn_low = turn_low * 0x1p-126;
}

// x = quadrant pi/2 + high + low: pi/2 in three parts. The first difference is exact, the second is a two-sum.
INLINE DI quadrant_of(D x, D& high, D& low) {
    D first = all(0x1.921fb54442d18p+0), second = all(0x1.1a62633145c07p-54), third = all(-0x1.f1976b7ed8fbcp-110);
    D steps = fma(x, all(0x1.45f306dc9c883p-1), steady(x)), n = steps - steady(x);
    D rest = fma(-n, first, x), product = n * second;
    high = rest - product;
    D back = rest - high;
    low = fma(-n, third, ((rest - (high + back)) + (back - product)) - fma(n, second, -product));
    DI quadrant = bits(steps), huge = absv(x) > 0x1p30;
    if (__builtin_expect(any(huge), 0)) {
        DI far_quadrant;
        D turn, turn_low;
        huge_angle(x, far_quadrant, turn, turn_low);
        D far = turn * first;
        high = select(huge, far, high);
        low = select(huge, fma(turn, first, -far) + fma(turn, second, turn_low * first), low);
        quadrant = bits(select(huge, number(far_quadrant), number(quadrant)));
    }
    return quadrant;
}

// sin(x + quarter pi/2)
INLINE D turned(D x, int quarter) {
    D high, low;
    DI quadrant = quadrant_of(x, high, low) + quarter;
    D z = high * high, half = z * 0.5, most = 1 - half;
    // (sin(h) - h) / h^3 and (cos(h) - 1 + h^2 / 2) / h^4 for |h| < 0.7855, z = h^2: 2^-57 and 2^-63 of sin(h), cos(h)
    D odd = polynomial(z, 1.5895433206082259e-10, -2.5050734388130175e-08, 2.7557313538509046e-06,
                       -0.0001984126982935852, 0.0083333333333218407, -0.1666666666666663);
    D even = polynomial(z, -1.1358742280209925e-11, 2.0875705295930343e-09, -2.7557314216568101e-07,
                        2.4801587289001358e-05, -0.0013888888888873342, 0.041666666666666595);
    D sine = high + fma(high * z, odd, fma(-half, low, low));
    D cosine = most + (((1 - most) - half) + fma(z * z, even, -(high * low)));
    return number(bits(select((quadrant & 1) == 0, sine, cosine)) ^ ((quadrant & 2) << 62));
}
// sinv: within 0.51, as doubles 0.81 ulp.
// cosv: within 0.51, as doubles 0.81 ulp.
INLINE D sinv(D x) { return select(absv(x) < 0x1p-27, x, turned(x, 0)); }
INLINE D cosv(D x) { return turned(x, 1); }

// ---- The error function ----

// erfv: within 0.51, as doubles 1.05 ulp. Beyond 1 it is 1 less a small number, whose own error counts little.
INLINE D erfv(D x) {
    D size = absv(x), z = size * size, far = at_most(size, all(5.93));
    // erf(x) / x - 1 for |x| < 1: 2^-56 of erf(x)
    D near = polynomial(z, 1.4765581566429004e-10, -1.67066997720952e-09, 1.6073216160000378e-08,
                        -1.6565545779966112e-07, 1.6481793029897813e-06, -1.4926922660047401e-05, 0.0001205538768078315,
                        -0.00085483285694147679, 0.0052239776531403442, -0.026866170648062394, 0.11283791670971181,
                        -0.37612638903184098, 0.12837916709551259);
    // log(1 - erf(x)) for x > 1, and as if x were at most 5.93, where erf(x) rounds to 1: 2^-56 of erf(x)
    D tail = polynomial(far, -4.9282889859289134e-12, 2.0448483965379165e-10, -3.9340823713919375e-09,
                        4.642124491893334e-08, -3.7329278980079149e-07, 2.1356341742613372e-06, -8.6670338890439371e-06,
                        2.2822244025585555e-05, -2.0266421288000561e-05, -0.00013505001658393339,
                        0.00077064138310754631, -0.001915939605402387, 0.00041062302691050777, 0.018990183265800303,
                        -0.10270344230060244, -0.63664362691265652, -1.1283740897759558, -5.0281481769051761e-07);
    return select(size < 1, fma(x, near, x), copysignv(1 - exp_within(tail), x));
}

// ---- Floats as doubles ----

OUTLINE F log1pv(F x) { return as_doubles([](D wide) { return log1pv(wide); }, x); }
OUTLINE F sinv(F x) { return as_doubles([](D wide) { return sinv(wide); }, x); }
OUTLINE F cosv(F x) { return as_doubles([](D wide) { return cosv(wide); }, x); }
OUTLINE F erfv(F x) { return as_doubles([](D wide) { return erfv(wide); }, x); }

// A float's power needs no logarithm of twice the precision.
OUTLINE F powv(F x, F y) {
    return power_ends(x, y, as_doubles([](D base, D exponent) { return expv(exponent * logv(base)); }, absv(x), y));
}

#undef BOTH
