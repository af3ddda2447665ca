// What every program has around its generated functions: data from counters, many replicas, many steps, evaluation.
//
// Before this come the program's sizes, the types real, V and M, and operation(); after it, step() and forward().
#pragma once
#include "registers.h"
#include "functions.h"

typedef unsigned long long u64;
enum { W = sizeof(V) / sizeof(real), PARTS = 16 / W };  // sixteen lanes, in so many registers

INLINE V ld(const real* from) {
    V v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}
INLINE void st(real* to, V v) { __builtin_memcpy(to, &v, sizeof v); }
INLINE M before(int count) {  // the first `count` lanes of a register
    M m;
    for (int i = 0; i < W; i++) m[i] = -(i < count);
    return m;
}
INLINE real from_mask(int mask) { return number(M{} + mask)[0]; }

// Sums of sixteen lanes: halves are added to halves, whatever a register holds. totals: of W rows, each of PARTS
// registers, at once; from rows of groups to rows of twice as many groups that are half as long.
template <int HALF> INLINE V folded(V a, V b) {
    M low, high;
    for (int i = 0; i < W; i++) {
        const int own = i % (W / 2), from = own / HALF * 2 * HALF + own % HALF + i / (W / 2) * W;
        low[i] = from, high[i] = from + HALF;
    }
    return shuffled(a, b, low) + shuffled(a, b, high);
}
template <int HALF> INLINE V folded_rows(const V* rows) {
    if constexpr (HALF == W) {
        V sum[PARTS];
        for (int i = 0; i < PARTS; i++) sum[i] = rows[i];
        for (int n = PARTS / 2; n; n /= 2)
            for (int i = 0; i < n; i++) sum[i] = sum[i] + sum[i + n];
        return sum[0];
    } else {
        return folded<HALF>(folded_rows<2 * HALF>(rows), folded_rows<2 * HALF>(rows + W / 2 / HALF * PARTS));
    }
}
INLINE V totals(const V* rows) { return folded_rows<1>(rows); }

// The streams of benchmark/asked/streams.py.
INLINE u64 mixed(u64 z) {
    z += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}
INLINE FU mixed(FU h) {
    h = (h ^ (h >> 16)) * 0x21F0AAADu;
    h = (h ^ (h >> 15)) * 0x735A2D97u;
    return h ^ (h >> 15);
}
INLINE F uniform(FU counter, u64 key) {
    const FU h = mixed(mixed(counter ^ (unsigned)key) ^ (counter * 0x9E3779B1u + (unsigned)(key >> 32)));
    return __builtin_convertvector((FI)(h >> 8), F) * all(0x1p-24f);
}
INLINE FU counters(unsigned row, unsigned lane) {
    FU c;
    for (int i = 0; i < WF; i++) c[i] = (row << 20) + lane + i;
    return c;
}
INLINE void put(float* to, F v) { __builtin_memcpy(to, &v, sizeof v); }
INLINE void put(double* to, D low, D high) {
    __builtin_memcpy(to, &low, sizeof low), __builtin_memcpy(to + WD, &high, sizeof high);
}
INLINE void put(float* to, D low, D high) { put(to, narrow(low, high)); }
INLINE void put(double* to, F v) {
    D low, high;
    widen(v, low, high);
    put(to, low, high);
}
template <class T>
INLINE void get(const T* from, D& low, D& high) {
    if constexpr (sizeof(T) == 4) {
        F v;
        __builtin_memcpy(&v, from, sizeof v);
        widen(v, low, high);
    } else {
        __builtin_memcpy(&low, from, sizeof low), __builtin_memcpy(&high, from + WD, sizeof high);
    }
}

// Everything that a call trains. Arrays of the replicas are [replica, ...].
struct Plan {
    long replicas, pieces, rows, period, rounds;
    const u64 *data_key, *noise_key;     // of each replica, without the step
    const int *source, *code, *offset;   // [replica]: its laws among those below, its operation, its subsets' shift
    const real* straight;                // [source, input, piece, (cut, slope, low)]
    const int* law;                      // [source, input]: 0 uniform, 1 normal, 2 exponential; null where all are uniform
    const double *exact, *shape;         // as `straight`, and [source, input, (location, scale, lowest, highest)]
    const real* grid;                    // [input, row], instead of laws
    const real *rate, *schedule, *turns; // [replica], [step, column], [round, parameter]
    real* state;                         // [replica, STATE]
    double* watched;                     // [replica, 2]: sums of the batches' errors and of their squares, or null
};

template <class R, class T>
INLINE R along(R u, const T* piece, long pieces) {  // piecewise linear
    R p = (u - piece[0]) * piece[1] + piece[2];
    for (long i = 1; i < pieces; i++) p = select(u < all(piece[3 * i]), p, (u - piece[3 * i]) * piece[3 * i + 1] + piece[3 * i + 2]);
    return p;
}

// Multiples of 2^-24 in [0, 1) of one row of the counter, straight into [low, low + slope).
INLINE void draw_straight(u64 key, unsigned row, F slope, F low, float* to) {
    FU c = counters(row, 0), turned = c * 0x9E3779B1u + (unsigned)(key >> 32);
    for (int at = 0; at < PADDED; at += WF, c += (unsigned)WF, turned += (unsigned)WF * 0x9E3779B1u) {
        const FU h = mixed(mixed(c ^ (unsigned)key) ^ turned);
        const F x = __builtin_convertvector((FI)(h >> 8), F) * slope + low;
        __builtin_memcpy(to + at, &x, sizeof x);
    }
}

template <class T> static void draw(const Plan& plan, long replica, u64 step, T* x) {
    if (plan.grid) {
        for (int i = 0; i < INPUTS; i++)
            for (int at = 0; at < PADDED; at++) x[i * PADDED + at] = plan.grid[i * plan.rows + (step * BATCH + at) % plan.rows];
        return;
    }
    const u64 key = mixed(plan.data_key[replica] + (plan.period ? step % plan.period : step));
    const long source = plan.source[replica];
    for (int i = 0; i < INPUTS; i++) {
        const long own = source * INPUTS + i;
        const real* straight = plan.straight + own * plan.pieces * 3;
        const int law = plan.law ? plan.law[own] : 0;
        if constexpr (sizeof(T) == 4)
            if (law == 0 && plan.pieces == 1) {  // the cut is 0, and a product with 2^-24 is exact
                draw_straight(key, i, all(straight[1]) * 0x1p-24f, all(straight[2]), x + i * PADDED);
                continue;
            }
        for (int at = 0; at < PADDED; at += WF) {
            const F u = uniform(counters(i, at), key);
            T* to = x + i * PADDED + at;
            if (law == 0) {
                put(to, u);
                for (int k = 0; k < WF; k += W) st(to + k, along(ld(to + k), straight, plan.pieces));
                continue;
            }
            D low, high;
            widen(u, low, high);
            const double* exact = plan.exact + own * plan.pieces * 3;
            low = quantile(law, low, exact, plan.pieces, plan.shape + own * 4);
            high = quantile(law, high, exact, plan.pieces, plan.shape + own * 4);
            put(to, low, high);
        }
    }
}

static void ask(const real* x, int code, int offset, real* t) {
    if constexpr (SINGLE && sizeof(real) == 4) {
        for (int at = 0; at < PADDED; at += W) st(t + at, operation(code, ld(x + at), ld(x + SPANS[1][0] * PADDED + at)));
        return;
    }
    for (int at = 0; at < PADDED; at += WF) {
        D operand[2][2];  // of a and b, two registers each
        for (int o = 0; o < 2; o++) {
            const int start = SPANS[o][0] + offset, stop = SPANS[o][1] + offset;
            get(x + start * PADDED + at, operand[o][0], operand[o][1]);
            for (int i = start + 1; i < stop; i++) {
                D low, high;
                get(x + i * PADDED + at, low, high);
                operand[o][0] += low, operand[o][1] += high;
            }
        }
        put(t + at, operation(code, operand[0][0], operand[1][0]), operation(code, operand[0][1], operand[1][1]));
    }
}

static void step(real* __restrict p, real* __restrict lanes, const real* __restrict x, const real* __restrict t,
                 const real* __restrict noise);
static void forward(real* __restrict p, real* __restrict lanes, const real* __restrict x, real* __restrict y);

static double total(const D* sums) {
    double lanes[16];
    __builtin_memcpy(lanes, sums, sizeof lanes);
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++) lanes[i] += lanes[i + n];
    return lanes[0];
}

extern "C" void* aligned_alloc(__SIZE_TYPE__, __SIZE_TYPE__);
extern "C" void free(void*);
static real* memory(long count) {
    return (real*)__builtin_assume_aligned(aligned_alloc(64, (count * sizeof(real) + 63) / 64 * 64), 64);
}

extern "C" void train(const Plan* given, long first, long steps) {
    const Plan& plan = *given;
    real* x = memory((long)(INPUTS + 1 + NOISE + LANES) * PADDED + KEPT);
    real *t = x + INPUTS * PADDED, *noise = t + PADDED, *lanes = noise + NOISE * PADDED, *p = lanes + LANES * PADDED;
    for (long r = 0; r < plan.replicas; r++) {
        real* state = plan.state + r * STATE;
        for (int k = 0; k < KEPT; k++) p[k] = 0;
        for (int k = 0; k < STATE; k++) p[k] = state[k];
        p[RATE] = plan.rate[r];
        for (long s = 0; s < steps; s++) {
            draw(plan, r, first + s, x);
            ask(x, plan.code[r], plan.offset[r], t);
            if (NOISE) {
                const u64 key = mixed(plan.noise_key[r] + first + s);
                for (int i = 0; i < NOISE; i++)
                    for (int at = 0; at < PADDED; at += WF) put(noise + i * PADDED + at, uniform(counters(i, at), key));
            }
            for (int k = 0; k < COLUMNS; k++) p[SCHEDULE + k] = plan.schedule[s * COLUMNS + k];
            for (int k = 0; k < TURN; k++) p[TURNS + k] = plan.turns[(first + s) % plan.rounds * TURN + k];
            step(p, lanes, x, t, noise);
            if (plan.watched) {
                const double error = p[ERROR];
                plan.watched[2 * r] += error, plan.watched[2 * r + 1] += error * error;
            }
        }
        for (int k = 0; k < STATE; k++) state[k] = p[k];
    }
    free(x);
}

// Points lie in chunks: x [set, chunk, input, CHUNK], t [target, chunk, CHUNK], y [replica, chunk, CHUNK].
extern "C" void evaluate(long replicas, long points, const real* state, const real* x, const int* set, const double* t,
                         const int* target, double* squares, real* y, real* sparsity) {
    const long chunks = (points + CHUNK - 1) / CHUNK;
    enum { SUMS = 16 / WD };
    real* p = memory(KEPT_FORWARD + CHUNK + LANES_FORWARD * 16);
    D* sums = (D*)aligned_alloc(64, (replicas * SUMS * sizeof(D) + 63) / 64 * 64);
    for (long i = 0; i < replicas * SUMS; i++) sums[i] = D{};
    for (int k = 0; k < KEPT_FORWARD; k++) p[k] = 0;
    for (long c = 0; c < chunks; c++)  // outermost, as the points of a chunk stay in the cache for all replicas
        for (long r = 0; r < replicas; r++) {
            for (int k = 0; k < PARAMETERS; k++) p[k] = state[r * STATE + k];
            real* out = y ? y + (r * chunks + c) * CHUNK : p + KEPT_FORWARD;
            forward(p, p + KEPT_FORWARD + CHUNK, x + (set[r] * chunks + c) * INPUTS * CHUNK, out);
            if (sparsity) sparsity[r] = SPARSITY < 0 ? real(__builtin_nan("")) : p[SPARSITY < 0 ? 0 : SPARSITY];
            const int full = points - c * CHUNK < CHUNK ? points - c * CHUNK : CHUNK;
            for (int at = 0; squares && at < full; at += 2 * WD) {
                D now[2], then[2];
                get(out + at, now[0], now[1]), get(t + (target[r] * chunks + c) * CHUNK + at, then[0], then[1]);
                for (int k = 0; k < 2; k++) {
                    D off = now[k] - then[k];
                    if (at + (k + 1) * WD > full)
                        for (int i = 0; i < WD; i++)
                            if (at + k * WD + i >= full) off[i] = 0;
                    D& sum = sums[r * SUMS + (at / WD + k) % SUMS];
                    sum = fma(off, off, sum);
                }
            }
        }
    for (long r = 0; squares && r < replicas; r++) squares[r] = total(sums + r * SUMS);
    free(sums);
    free(p);
}
