// Inverse distribution functions in float64; see exact.py for their sources.
INLINE D ratio(const double table[2][8], D x) {
    D over = all(table[0][0]), under = all(table[1][0]);
    for (int i = 1; i < 8; i++) over = over * x + table[0][i], under = under * x + table[1][i];
    return over / under;
}
OUTLINE D normal_quantile(D p) {
    const D q = p - 0.5, low = minv(p, 1.0 - p), r = root(-logv(low));
    const D tail = select(r <= 5.0, ratio(TAIL, r - 1.6), ratio(FAR_TAIL, r - 5.0));
    return select(absv(q) <= 0.425, q * ratio(CENTRE, 0.180625 - q * q), copysignv(tail, q));
}
INLINE D quantile(int law, D u, const double* piece, long pieces, const double* shape) {
    u = u + 0x1p-25;  // the middle of the uniform numbers' steps, as a tail has no end
    D p = (u - piece[0]) * piece[1] + piece[2];
    for (long i = 1; i < pieces; i++)
        p = select(u < all(piece[3 * i]), p, (u - piece[3 * i]) * piece[3 * i + 1] + piece[3 * i + 2]);
    const D standard = law == 1 ? normal_quantile(p) : -log1pv(-p);
    return minv(maxv(standard * shape[1] + shape[0], all(shape[2])), all(shape[3]));
}
