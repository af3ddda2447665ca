// What every program has around its generated functions: data from counters, many steps, evaluation.
//
// Before this come the program's sizes, the types real, V and M, and operation(); after it, step() and forward().
#pragma once
#include "functions.h"
#include "plan.h"

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
    return of_integers((FI)(h >> 8)) * all(0x1p-24f);
}
template <class R, class T>
INLINE R along(R u, const T* piece, long pieces) {  // piecewise linear
    R p = (u - piece[0]) * piece[1] + piece[2];
    for (long i = 1; i < pieces; i++) p = select(u < all(piece[3 * i]), p, (u - piece[3 * i]) * piece[3 * i + 1] + piece[3 * i + 2]);
    return p;
}

// Multiples of 2^-24 in [0, 1) of one row of the counter, straight into [low, low + slope).
INLINE void draw_straight(u64 key, unsigned row, F slope, F low, float* to) {
    FU c = counters(row, FIRST), turned = c * 0x9E3779B1u + (unsigned)(key >> 32);
    OVER(at, PADDED, WF) {
        const FU h = mixed(mixed(c ^ (unsigned)key) ^ turned);
        put(to + at, of_integers((FI)(h >> 8)) * slope + low);
        c += (unsigned)STRIDE(WF), turned += (unsigned)STRIDE(WF) * 0x9E3779B1u;
    }
}

template <class T> static void draw(const Plan& plan, long replica, u64 step, T* x) {
    if (plan.grid) {
        for (int i = 0; i < INPUTS; i++)
            OVER(at, PADDED, 1) x[i * PADDED + at] = plan.grid[i * plan.rows + (step * BATCH + at) % plan.rows];
        return;
    }
    const u64 key = mixed(plan.data_key[replica] + (plan.period ? step % plan.period : step));
    const long source = plan.source[replica];
    for (int i = 0; i < INPUTS; i++) {
        const long own = source * INPUTS + i;
        const real* straight = plan.straight + own * plan.pieces * 3;
        const int law = plan.law ? plan.law[own] : 0;
        T* to = x + i * PADDED;
        if constexpr (sizeof(T) == 4)
            if (law == 0 && plan.pieces == 1) {  // the cut is 0, and a product with 2^-24 is exact
                draw_straight(key, i, all(straight[1]) * 0x1p-24f, all(straight[2]), to);
                continue;
            }
        OVER(at, PADDED, WF) put(to + at, uniform(counters(i, at), key));
        if (law == 0) {
            OVER(at, PADDED, W) st(to + at, along(ld(to + at), straight, plan.pieces));
            continue;
        }
        const double* exact = plan.exact + own * plan.pieces * 3;
        OVER(at, PADDED, WD) put(to + at, quantile(law, wide(to + at), exact, plan.pieces, plan.shape + own * 4));
    }
}

static void ask(const real* x, int code, int offset, real* t) {
    if constexpr (SINGLE && sizeof(real) == 4) {
        OVER(at, PADDED, W) st(t + at, operation(code, ld(x + at), ld(x + SPANS[1][0] * PADDED + at)));
        return;
    }
    OVER(at, PADDED, WD) {
        D operand[2];
        for (int o = 0; o < 2; o++) {
            const int start = SPANS[o][0] + offset, stop = SPANS[o][1] + offset;
            operand[o] = wide(x + start * PADDED + at);
            for (int i = start + 1; i < stop; i++) operand[o] += wide(x + i * PADDED + at);
        }
        put(t + at, operation(code, operand[0], operand[1]));
    }
}

static void train_one(const Plan& plan, long r, long first, long steps, real* x, real* p, real* lanes) {
    real *t = x + INPUTS * PADDED, *noise = t + PADDED;
    real* state = plan.state + r * STATE;
    OVER(k, KEPT, 1) p[k] = k < STATE ? state[k] : k == RATE ? plan.rate[r] : real(0);
    for (long s = 0; s < steps; s++) {
        draw(plan, r, first + s, x);  // a thread draws, and reads, the examples of its own lane
        ask(x, plan.code[r], plan.offset[r], t);
        if (NOISE) {
            const u64 key = mixed(plan.noise_key[r] + first + s);
            for (int i = 0; i < NOISE; i++)
                OVER(at, PADDED, WF) put(noise + i * PADDED + at, uniform(counters(i, at), key));
        }
        OVER(k, COLUMNS, 1) p[SCHEDULE + k] = plan.schedule[s * COLUMNS + k];
        OVER(k, TURN, 1) p[TURNS + k] = plan.turns[(first + s) % plan.rounds * TURN + k];
        SYNC;
        step(p, lanes, x, t, noise);
        SYNC;
        if (plan.watched && FIRST == 0) {
            const double error = p[ERROR];
            plan.watched[2 * r] += error, plan.watched[2 * r + 1] += error * error;
        }
    }
    OVER(k, STATE, 1) state[k] = p[k];
    SYNC;
}

static void judge(const Points& points, long r, long chunk, real* p, real* lanes, D* sums) {
    OVER(k, KEPT_FORWARD, 1) p[k] = k < PARAMETERS ? points.state[r * STATE + k] : real(0);
    SYNC;
    real* out = points.y ? points.y + (r * points.chunks + chunk) * CHUNK : p + KEPT_FORWARD;
    forward(p, lanes, points.x + (points.set[r] * points.chunks + chunk) * INPUTS * CHUNK, out);
    SYNC;
    if (points.sparsity && FIRST == 0) points.sparsity[r] = SPARSITY < 0 ? real(NOT_A_NUMBER) : p[SPARSITY < 0 ? 0 : SPARSITY];
    if (points.squares) {
        const double* t = points.t + (points.target[r] * points.chunks + chunk) * CHUNK;
        const int full = points.points - chunk * CHUNK < CHUNK ? points.points - chunk * CHUNK : CHUNK;
        OVER(at, full, WD) {
            D off = wide(out + at) - wide(t + at);
            if (at + WD > full) off = before(off, full - at);
            D& sum = sums[at / STRIDE(WD) % (16 / STRIDE(WD))];
            sum = fma(off, off, sum);
        }
    }
    SYNC;  // before the next chunk's numbers take the place of these
}
