// What every program has around its generated functions: data from counters, many steps, evaluation.
//
// Before this come the program's sizes, the types real, V and M, and operation(); after it, the generated functions.
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
#define ABREAST _Pragma("GCC unroll 8") for (int k = 0; k < N; k++)
template <int N> struct Abreast {};
template <int N> INLINE void mix(FU (&h)[N]) {  // 32 bits of each, from their first product on
    ABREAST h[k] = h[k] * 0x21F0AAADu;
    ABREAST h[k] = h[k] ^ h[k] >> 15;
    ABREAST h[k] = h[k] * 0x735A2D97u;
    ABREAST h[k] = h[k] ^ h[k] >> 15;
}
constexpr int divisor(int count, int most) { return count % most ? divisor(count, most - 1) : most; }
// A row of the counter: each's is given its place and uniform number, odd multiples of 2^-53 in (0, 1). N registers go
// abreast, for one alone is a chain of operations that wait for one another.
template <int N, class Each> INLINE void uniform(Abreast<N>, u64 key, unsigned row, Each each) {
    const unsigned odd = 0x9E3779B1u, stride = ACROSS_BY(WF), low = (unsigned)key ^ row << 20;
    const unsigned start = low ^ low >> 16, turn = (row << 20) * odd + (unsigned)(key >> 32);
    FU lane = lanes_from(FIRST % ACROSS), product = lane * odd;
    for (int at = FIRST % ACROSS; at < PADDED; at += N * stride, lane += N * stride, product += N * stride * odd) {
        FU once[N], coarse[N], fine[N];
        ABREAST {  // key and row are folded onto their own halves once for all lanes
            const FU own = lane + k * stride;
            once[k] = (PADDED > 1 << 16 ? own ^ own >> 16 : own) ^ start;
        }
        mix(once);
        ABREAST {
            const FU turned = product + k * stride * odd + turn, a = once[k] ^ turned, b = (once[k] + 0x632BE5ABu) ^ turned;
            coarse[k] = a ^ a >> 16, fine[k] = b ^ b >> 16;
        }
        mix(coarse), mix(fine);
        // Their 52 bits follow a one; to take it away, but for a half of the last of them, is exact.
        ABREAST {
#pragma GCC unroll 2
            for (int h = 0; h < WF / WD; h++) {
                const DI from_one = (DI)(joined(fine[k], coarse[k], h) >> 12) ^ 0x3FF8000000000000;
                each(at + k * (int)stride + h * WD, number(from_one) - 0x1.fffffffffffffp-1);
            }
        }
    }
}

typedef Abreast<1> One;
typedef Abreast<divisor(PADDED / ACROSS_BY(WF), MOST_ABREAST)> Several;

INLINE u64 key_of(const Plan& plan, long replica, u64 step) {
    return mixed(plan.data_key[replica] + (plan.period ? step % plan.period : step));
}
// A replica's inputs from the uniform numbers that rows(abreast, input, each) gives to each.
template <class Rows> INLINE void place(const Plan& plan, long replica, real* x, Rows rows) {
    const long own = (long)plan.source[replica] * INPUTS;
    const double *straight = plan.straight + own * plan.pieces * 5, *shape = plan.shape + own * 4;
    if (plan.plain) {
        const D slope = all(straight[2]), low = all(straight[3]);
#pragma unroll 4
        for (int i = FIRST / ACROSS; i < INPUTS; i += THREADS / ACROSS)
            rows(Several(), i, [=](int at, D u) { put(x + i * ROW + at, u * slope + low); });
        return;
    }
    for (int i = FIRST / ACROSS; i < INPUTS; i += THREADS / ACROSS) {
        const double* pieces = straight + i * plan.pieces * 5;
        const int law = plan.law[own + i];
        rows(One(), i, [=](int at, D u) { put(x + i * ROW + at, value_at(u, law, pieces, plan.pieces, shape + i * 4)); });
    }
}
static void draw(const Plan& plan, long replica, u64 step, real* x) {
    if (plan.grid) {
        for (int i = 0; i < INPUTS; i++)
            OVER(at, PADDED, 1) x[i * ROW + at] = plan.grid[i * plan.rows + (step * BATCH + at) % plan.rows];
        return;
    }
    const u64 key = key_of(plan, replica, step);
    place(plan, replica, x, [=](auto abreast, int i, auto each) { uniform(abreast, key, i, each); });
}
static void draw_numbers(const Plan& plan, long replica, u64 step, double* numbers) {
    const u64 key = key_of(plan, replica, step);
    for (int i = 0; i < INPUTS; i++) uniform(Several(), key, i, [=](int at, D u) { put(numbers + i * PADDED + at, u); });
}
static void place_numbers(const Plan& plan, long replica, const double* numbers, real* x) {
    place(plan, replica, x, [=](auto, int i, auto each) {
        OVER(at, PADDED, WD) each(at, wide(numbers + i * PADDED + at));
    });
}

static void ask(const real* x, int code, const int (*spans)[2], real* t) {
    if constexpr (SINGLE && sizeof(real) == 4) {
        OVER(at, PADDED, W) {
            V operand[OPERANDS];
            for (int o = 0; o < OPERANDS; o++) operand[o] = ld(x + spans[o][0] * ROW + at);
            for (int i = 0; i < OUTPUTS; i++) st(t + i * ROW + at, operation(OUTPUTS > 1 ? i : code, operand));
        }
        return;
    }
    OVER(at, PADDED, WD) {
        D operand[OPERANDS];
        for (int o = 0; o < OPERANDS; o++) {
            operand[o] = wide(x + spans[o][0] * ROW + at);
            for (int i = spans[o][0] + 1; i < spans[o][1]; i++) operand[o] += wide(x + i * ROW + at);
        }
        for (int i = 0; i < OUTPUTS; i++) put(t + i * ROW + at, operation(OUTPUTS > 1 ? i : code, operand));
    }
}

INLINE void copy(real* to, const real* from, int count) {
    const int whole = count - count % W;
    OVER(k, whole, W) st(to + k, ld(from + k));
    OVER(k, count - whole, 1) to[whole + k] = from[whole + k];
}

static void train_one(const Plan& plan, long r, long first, long steps, real* x, real* p, const real* drawn) {
    real *t = x + SEEN * ROW, *noise = t + OUTPUTS * ROW, *lanes = x + DATA * ROW;
    real* state = plan.state + r * STATE;
    OVER(k, KEPT, W) st(p + k, V{});
    SYNC;
    copy(p, state, STATE);
    if (FIRST == 0) p[RATE] = plan.rate[r];
    SYNC;
    for (long s = 0; s < steps; s++) {
        const real* inputs = drawn ? drawn + s * SEEN * ROW : x;
        if (!drawn) draw(plan, r, first + s, x), prepare(p, lanes, x, x + INPUTS * ROW);
        if (THREADS > ACROSS) SYNC;  // else a thread draws what it reads here: its own examples
        ask(inputs, plan.code[r], plan.spans + r * OPERANDS, t);
        if (NOISE) {
            const u64 key = mixed(plan.noise_key[r] + first + s);
            for (int i = FIRST / ACROSS; i < NOISE; i += THREADS / ACROSS)
                uniform(One(), key, i, [=](int at, D u) { put(noise + i * ROW + at, u); });
        }
        OVER(k, COLUMNS, 1) p[SCHEDULE + k] = plan.schedule[s * COLUMNS + k];
        OVER(k, TURN, 1) p[TURNS + k] = plan.turns[(first + s) % plan.rounds * TURN + k];
        SYNC;
        step(p, lanes, inputs, t, noise);
        SYNC;
        if (plan.watched && FIRST == 0) {
            const double error = p[ERROR];
            plan.watched[2 * r] += error, plan.watched[2 * r + 1] += error * error;
        }
    }
    copy(state, p, STATE);
    SYNC;
}

static void judge(const Points& points, long r, long chunk, long end, real* p, real* lanes, D* sums) {
    OVER(k, KEPT_FORWARD, W) st(p + k, V{});
    SYNC;
    copy(p, points.state + r * STATE, PARAMETERS);
    SYNC;
    learned(p);
    SYNC;
    if (points.sparsity && FIRST == 0) points.sparsity[r] = SPARSITY < 0 ? CONSTANT_SPARSITY : p[SPARSITY < 0 ? 0 : SPARSITY];
    for (; chunk < end; chunk++) {
        real* out = points.y ? points.y + (r * points.chunks + chunk) * OUTPUTS * CHUNK_ROW : p + KEPT_FORWARD;
        forward(p, lanes, points.x + (points.set[r] * points.chunks + chunk) * INPUTS * CHUNK_ROW, out);
        SYNC;
        if (points.squares) {
            const double* t = points.t + (points.target[r] * points.chunks + chunk) * OUTPUTS * CHUNK;
            const int full = points.points - chunk * CHUNK < CHUNK ? points.points - chunk * CHUNK : CHUNK;
            for (int i = 0; i < OUTPUTS; i++, t += CHUNK, out += CHUNK_ROW)
                EACH_LANE(at, full, WD) {
                    const D target = wide(t + at);
                    D off = wide(out + at) - target;
                    if (OUTPUTS > 1) off = select(target == target, off, all(0.0));  // nan where it is not asked
                    if (at + WD > full) off = before(off, full - at);
                    D& sum = sums[at / WD % SUMS];
                    sum = fma(off, off, sum);
                }
        }
        SYNC;  // before the next chunk's numbers take the place of these
    }
}
