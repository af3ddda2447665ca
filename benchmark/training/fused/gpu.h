// A GPU's threads, in PARTS of one lane, and a program's two functions.
#pragma once
#include "threads.h"

enum { W = 1, PARTS = THREADS, SUMS = 1 };

INLINE V ld(const real* from) { return *from; }
INLINE void st(real* to, V v) { *to = v; }
INLINE M before(int count) { return count > 0; }
INLINE D before(D v, int count) { return count > 0 ? v : 0; }
INLINE FU lanes_from(unsigned first) { return first; }
enum { MOST_ABREAST = 1 };
INLINE real from_mask(int mask) { return number(M(mask)); }

// Halves are added to halves, as everywhere; afterwards each thread has the sum.
template <class T> INLINE T total_of(T sum) {
    for (int half = 8; half; half /= 2) sum = sum + __shfl_xor_sync(0xffffu << (threadIdx.x & 16), sum, half, 16);
    return sum;
}
INLINE void keep_total(real* to, V sum) {
    sum = total_of(sum);
    if (FIRST == 0) *to = sum;
}
#define ROWS(count)
#define SUM(first, i, part, sum) keep_total(p + (first) + (i), sum)
#define TOTALS(first, count)

// Sums of the products of two rows, or of one row where the other is -1; each by sixteen threads.
template <int count> INLINE void sums_of(real* to, const short (&factors)[count][2], const real* rows) {
    const int lane = threadIdx.x % 16;
    for (int i = FIRST / 16; i < count; i += THREADS / 16) {
        const real *a = rows + factors[i][0] * ROW, *b = rows + factors[i][1] * ROW;
        V sum = 0;
        if (factors[i][1] < 0)
            for (int at = lane; at < PADDED; at += 16) sum = sum + (at < BATCH ? a[at] : 0);
        else
            for (int at = lane; at < PADDED; at += 16) sum = fma(a[at], b[at], sum);
        sum = total_of(sum);
        if (lane == 0) to[i] = sum;
    }
}

// A replica's part of an array or, where that is `inside`, of its multiprocessor's memory from `at` on, of which each has
// `words`. Which it is, is known before compiling: addresses there are short.
INLINE long group() { return blockIdx.x * (long)(blockDim.x / THREADS) + threadIdx.x / THREADS; }
INLINE long groups() { return gridDim.x * (long)(blockDim.x / THREADS); }
struct alignas(16) Sixteen { char bytes[16]; };
template <bool inside> INLINE real* part(real* array, long size, long at, long words) {
    extern __shared__ Sixteen shared[];
    return inside ? (real*)shared + (THREADS > 16 ? 0 : threadIdx.x / THREADS * words) + at : array + group() * size;
}

// At most so many threads of a block, at least so many blocks at once: the latter where registers would allow fewer.
enum { MOST = THREADS > 16 ? THREADS : 128, TOGETHER = THREADS > 16 || sizeof(real) > 4 ? 1 : 7 };

extern "C" __global__ void __launch_bounds__(MOST, TOGETHER)
    train(Plan plan, long first, long steps, real* x, real* p) {
    p = part<(TRAIN_INSIDE > 0)>(p, KEPT, 0, TRAIN_WORDS);
    x = part<(TRAIN_INSIDE > 1)>(x, (DATA + LANES) * ROW, KEPT, TRAIN_WORDS);
    for (long r = group(); r < plan.replicas; r += groups()) train_one(plan, r, first, steps, x, p, nullptr);
}

extern "C" __global__ void evaluate(Points points, real* lanes, real* p) {
    p = part<(EVALUATE_INSIDE > 0)>(p, KEPT_FORWARD + OUTPUTS * CHUNK_ROW, 0, EVALUATE_WORDS);
    lanes = part<(EVALUATE_INSIDE > 1)>(lanes, LANES_FORWARD * THREADS, KEPT_FORWARD + OUTPUTS * CHUNK_ROW, EVALUATE_WORDS);
    for (long r = group(); r < points.replicas; r += groups()) {
        D sum = 0;
        judge(points, r, 0, points.chunks, p, lanes, &sum);
        sum = total_of(sum);
        if (points.squares && FIRST == 0) points.squares[r] = sum;
    }
}
