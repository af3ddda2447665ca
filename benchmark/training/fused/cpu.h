// A processor's sixteen lanes, in PARTS registers of W, and a program's two functions.
#pragma once
#include "registers.h"

enum { W = sizeof(V) / sizeof(real), PARTS = 16 / W, SUMS = 16 / WD };
enum { MOST_ABREAST = BYTES == 64 ? 8 : 4 };  // chains of operations whose numbers the registers hold

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
INLINE D before(D v, int count) {  // 0 in other lanes than the first `count`
    for (int i = 0; i < WD; i++)
        if (i >= count) v[i] = 0;
    return v;
}
INLINE FU lanes_from(unsigned first) {
    FU lane;
    for (int i = 0; i < WF; i++) lane[i] = first + placed(i);
    return lane;
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

#define ROWS(count) alignas(64) V rows[(count) * PARTS]
#define SUM(first, i, part, sum) rows[(i) * PARTS + (part)] = sum
#define TOTALS(first, count) OVER(k, count, W) st(p + (first) + k, totals(rows + k * PARTS))

INLINE double total(const D* sums) {
    double lanes[16];
    __builtin_memcpy(lanes, sums, sizeof lanes);
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++) lanes[i] += lanes[i + n];
    return lanes[0];
}

extern "C" void* aligned_alloc(__SIZE_TYPE__, __SIZE_TYPE__);
extern "C" void free(void*);
template <class T> static T* memory(long count) {
    return (T*)__builtin_assume_aligned(aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64), 64);
}

// Steps whose inputs half of a second-level cache holds; and those that it holds beside what they are placed from.
enum { OF_STEP = SEEN * ROW, HELD = (1 << 19) / (OF_STEP * sizeof(real)), SHARED = HELD < 1 ? 1 : HELD < 64 ? HELD : 64 };
enum { OF_RANGES = (SHARED + 2) / 3, OF_NUMBERS = INPUTS * PADDED };

// Random numbers are drawn once for all replicas beside each other that are of one seed. Those that see the same inputs,
// on several tasks or sums, have these placed and prepared once, too.
extern "C" void train(const Plan* plan, long first, long steps) {
    real *x = memory<real>((long)(DATA + LANES) * ROW + KEPT + 16), *p = x + (DATA + LANES) * ROW;
    real* drawn = memory<real>((long)SHARED * OF_STEP);
    double* numbers = memory<double>((long)OF_RANGES * OF_NUMBERS);
    for (long r = 0, next; r < plan->replicas; r = next) {
        bool ranges = false;  // whether not all see the same
        for (next = r + 1; next < plan->replicas && (plan->grid || plan->data_key[r] == plan->data_key[next]); next++)
            ranges |= !plan->grid && plan->source[r] != plan->source[next];
        const bool several = next - r > 1;
        const long most = ranges ? OF_RANGES : several ? SHARED : steps;
        Plan part = *plan;
        for (long s = 0; s < steps; s += most, part.schedule += most * COLUMNS) {
            const long count = steps - s < most ? steps - s : most;
            for (long k = 0; ranges && k < count; k++) draw_numbers(part, r, first + s + k, numbers + k * OF_NUMBERS);
            for (long q = r; q < next; q++) {
                const bool other = q == r || (ranges && part.source[q] != part.source[q - 1]);
                for (long k = 0; several && other && k < count; k++) {
                    real* inputs = drawn + k * OF_STEP;
                    if (ranges) place_numbers(part, q, numbers + k * OF_NUMBERS, inputs);
                    else draw(part, q, first + s + k, inputs);
                    prepare(p, x + DATA * ROW, inputs, inputs + INPUTS * ROW);
                }
                train_one(part, q, first + s, count, x, p, several ? drawn : nullptr);
            }
        }
    }
    free(numbers);
    free(drawn);
    free(x);
}

extern "C" void evaluate(const Points* points) {
    const long kept = KEPT_FORWARD + OUTPUTS * CHUNK_ROW;
    real *p = memory<real>(kept + LANES_FORWARD * 16), *lanes = p + kept;
    D* sums = memory<D>(points->replicas * SUMS);
    for (long i = 0; i < points->replicas * SUMS; i++) sums[i] = D{};
    const long most = (1 << 18) / (INPUTS * CHUNK_ROW * sizeof(real)) + 1;  // chunks whose points stay in the cache for all
    for (long c = 0; c < points->chunks; c += most) {
        const long end = c + most < points->chunks ? c + most : points->chunks;
        for (long r = 0; r < points->replicas; r++) judge(*points, r, c, end, p, lanes, sums + r * SUMS);
    }
    for (long r = 0; points->squares && r < points->replicas; r++) points->squares[r] = total(sums + r * SUMS);
    free(sums);
    free(p);
}
