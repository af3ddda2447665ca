// A GPU's sixteen lanes, half a warp for each replica, and a program's two functions.
#pragma once
#include "threads.h"

enum { W = 1, PARTS = 16 };

INLINE V ld(const real* from) { return *from; }
INLINE void st(real* to, V v) { *to = v; }
INLINE M before(int count) { return count > 0; }
INLINE D before(D v, int count) { return count > 0 ? v : 0; }
INLINE FU counters(unsigned row, unsigned lane) { return (row << 20) + lane; }
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

// An array's part for a group of sixteen threads; without an array, of its multiprocessor's memory from `at` on, of
// which each group has `words`.
INLINE long group() { return blockIdx.x * (long)(blockDim.x / 16) + threadIdx.x / 16; }
INLINE long groups() { return gridDim.x * (long)(blockDim.x / 16); }
INLINE real* part(real* array, long size, long at, long words) {
    extern __shared__ double shared[];
    return array ? array + group() * size : (real*)shared + threadIdx.x / 16 * words + at;
}

extern "C" __global__ void train(Plan plan, long first, long steps, real* x, real* p, real* lanes, long words) {
    p = part(p, KEPT, 0, words), x = part(x, DATA * PADDED, KEPT, words), lanes += group() * LANES * PADDED;
    for (long r = group(); r < plan.replicas; r += groups()) train_one(plan, r, first, steps, x, p, lanes);
}

extern "C" __global__ void evaluate(Points points, real* x, real* p, real* lanes, long words) {
    p = part(p, KEPT_FORWARD + CHUNK, 0, words), lanes += group() * LANES_FORWARD * 16;
    for (long r = group(); r < points.replicas; r += groups()) {
        D sum = 0;
        for (long c = 0; c < points.chunks; c++) judge(points, r, c, p, lanes, &sum);
        sum = total_of(sum);
        if (points.squares && FIRST == 0) points.squares[r] = sum;
    }
}
