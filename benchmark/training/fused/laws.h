// Inverse distribution functions in float64, with the very operations of exact.py, which names their sources.

// Horner's rule without fma, the highest power first.
template <int N> INLINE D horner(const double (&coefficients)[N], D x) {
    D y = all(coefficients[0]);
    for (int i = 1; i < N; i++) y = y * x + coefficients[i];
    return y;
}
OUTLINE D exact_log(D x) {  // of positive numbers
    DI tiny = x < 0x1p-1022;
    DI in = bits(select(tiny, x * 0x1p52, x));
    D mantissa = number((in & 0x000fffffffffffff) | 0x3fe0000000000000);
    D exponent = number((in >> 52) + bits(steady(x))) - steady(x) - select(tiny, all(1022. + 52), all(1022.));
    DI small = mantissa < ROOT_OF_HALF;
    D f = select(small, 2 * mantissa, mantissa) - 1, k = exponent - select(small, all(1.), all(0.));
    D s = f / (2 + f), square = s * s;
    return k * LN2 + (f - (s * (f - 2 * square * horner(INVERSE_ATANH, square)) - k * LN2_REST));
}
INLINE D exact_log1p(D x) {  // for -1 < x <= 0
    D y = 1 + x;
    return exact_log(y) + (x - (y - 1)) / y;
}
INLINE D ratio(const double (&table)[2][8], D x) { return horner(table[0], x) / horner(table[1], x); }
OUTLINE D normal_quantile(D p) {
    const D q = p - 0.5, low = minv(p, 1.0 - p), r = root(-exact_log(low));
    const D tail = select(r <= 5.0, ratio(TAIL, r - 1.6), ratio(FAR_TAIL, r - 5.0));
    return select(absv(q) <= 0.425, q * ratio(CENTRE, 0.180625 - q * q), copysignv(tail, q));
}

// What Laws of data.py says: u to x, by pieces (cut, origin, slope, low, sign), or for another law than the uniform one
// (1: normal, 2: exponential) first to the probability of values below x, above it where sign is -1.
INLINE D value_at(D u, int law, const double* piece, long pieces, const double* shape) {
    D p = (u - piece[1]) * piece[2] + piece[3], sign = all(piece[4]);
    for (long i = 1; i < pieces; i++) {
        piece += 5;
        const DI before = u < all(piece[0]);
        p = select(before, p, (u - piece[1]) * piece[2] + piece[3]), sign = select(before, sign, all(piece[4]));
    }
    if (law == 0) return p;
    const D inside = minv(p, all(1 - 0x1p-53));
    const D standard = law == 1 ? copysignv(all(1.), sign) * normal_quantile(inside)
                                : -select(sign < 0, exact_log(inside), exact_log1p(-inside));
    return minv(maxv(standard * shape[1] + shape[0], all(shape[2])), all(shape[3]));
}
