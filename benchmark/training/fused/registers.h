// The machine's registers: vectors of W numbers, whatever W is, and the few operations from which all else is made.
//
// Every operation here is correctly rounded or exact, so that no bit depends on the width. Products and sums are only
// contracted where fma() says so (-ffp-contract=off). threads.h has the same names for a GPU, whose threads share out what
// is one thread's here: there SYNC waits for the others, and FIRST and STRIDE say which numbers are one's own.
#pragma once

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline, unused))
#define RESTRICT __restrict
#define INFINITE __builtin_inf()
#define NOT_A_NUMBER __builtin_nan("")
#define SYNC
#define FIRST 0
#define STRIDE(count) (count)
#define ACROSS_BY(count) (count)
#define EACH_LANE(at, size, step) for (int at = 0; at < (size); at += (step))

typedef float F __attribute__((vector_size(BYTES)));
typedef double D __attribute__((vector_size(BYTES)));
typedef int FI __attribute__((vector_size(BYTES)));        // as wide as F: masks (0 or -1) and bits
typedef long long DI __attribute__((vector_size(BYTES)));  // as wide as D
typedef unsigned FU __attribute__((vector_size(BYTES)));
typedef unsigned long long DU __attribute__((vector_size(BYTES)));
typedef float HF __attribute__((vector_size(BYTES / 2)));  // as many floats as D has doubles
enum { WF = BYTES / 4, WD = BYTES / 8 };

INLINE F all(float v) { return v - F{}; }
INLINE D all(double v) { return v - D{}; }
INLINE FI bits(F v) { return (FI)v; }
INLINE DI bits(D v) { return (DI)v; }
INLINE F number(FI v) { return (F)v; }
INLINE D number(DI v) { return (D)v; }
INLINE F select(FI mask, F a, F b) { return mask ? a : b; }
INLINE D select(DI mask, D a, D b) { return mask ? a : b; }
template <class I> INLINE I inverse(I mask) { return ~mask; }

#if !defined(__clang__)
template <class R, class I> INLINE R shuffled(R a, R b, I from) { return __builtin_shuffle(a, b, from); }
#else
template <class R, class I> INLINE R shuffled(R a, R b, I from) {  // lanes of a, then of b
    R r;
    constexpr int n = sizeof(R) / sizeof(a[0]);
    for (int i = 0; i < n; i++) r[i] = from[i] < n ? a[from[i]] : b[from[i] - n];
    return r;
}
#endif
#if defined(__clang__) && __clang_major__ >= 19
INLINE F fma(F a, F b, F c) { return __builtin_elementwise_fma(a, b, c); }
INLINE D fma(D a, D b, D c) { return __builtin_elementwise_fma(a, b, c); }
INLINE D widened(HF v) { return __builtin_convertvector(v, D); }
INLINE F root(F v) { return __builtin_elementwise_sqrt(v); }
INLINE D root(D v) { return __builtin_elementwise_sqrt(v); }
#elif defined(__AVX512F__) && !defined(__clang__)
INLINE F fma(F a, F b, F c) { return __builtin_ia32_vfmaddps512_mask(a, b, c, -1, 4); }
INLINE D fma(D a, D b, D c) { return __builtin_ia32_vfmaddpd512_mask(a, b, c, -1, 4); }
INLINE D widened(HF v) { return __builtin_ia32_cvtps2pd512_mask(v, D{}, -1, 4); }
INLINE F root(F v) { return __builtin_ia32_sqrtps512_mask(v, v, -1, 4); }
INLINE D root(D v) { return __builtin_ia32_sqrtpd512_mask(v, v, -1, 4); }
#elif defined(__AVX2__) && !defined(__clang__)
INLINE F fma(F a, F b, F c) { return __builtin_ia32_vfmaddps256(a, b, c); }
INLINE D fma(D a, D b, D c) { return __builtin_ia32_vfmaddpd256(a, b, c); }
INLINE D widened(HF v) { return __builtin_ia32_cvtps2pd256(v); }
INLINE F root(F v) { return __builtin_ia32_sqrtps256(v); }
INLINE D root(D v) { return __builtin_ia32_sqrtpd256(v); }
#else
INLINE F fma(F a, F b, F c) {
    F r;
    for (int i = 0; i < WF; i++) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return r;
}
INLINE D fma(D a, D b, D c) {
    D r;
    for (int i = 0; i < WD; i++) r[i] = __builtin_fma(a[i], b[i], c[i]);
    return r;
}
INLINE D widened(HF v) { return __builtin_convertvector(v, D); }
INLINE F root(F v) {
    F r;
    for (int i = 0; i < WF; i++) r[i] = __builtin_sqrtf(v[i]);
    return r;
}
INLINE D root(D v) {
    D r;
    for (int i = 0; i < WD; i++) r[i] = __builtin_sqrt(v[i]);
    return r;
}
#endif

INLINE long long* lanes_of(DI& v) { return (long long*)&v; }
INLINE double* lanes_of(D& v) { return (double*)&v; }
INLINE bool any(DI mask) {
    long long some = 0;
    for (int lane = 0; lane < WD; lane++) some |= mask[lane];
    return some != 0;
}

// Two registers of doubles for one of floats, and back.
INLINE D half(F v, int which) {
    HF halves[2];
    __builtin_memcpy(halves, &v, sizeof v);
    return widened(halves[which]);
}
INLINE F narrow(D low, D high) {
    HF halves[2] = {__builtin_convertvector(low, HF), __builtin_convertvector(high, HF)};
    F v;
    __builtin_memcpy(&v, halves, sizeof v);
    return v;
}
// The low and high words of half as many lanes, put together; `placed` tells which number's words a lane holds for that.
INLINE int placed(int lane) { return lane % 4 / 2 * WD + lane / 4 * 2 + lane % 2; }
INLINE DU joined(FU low, FU high, int which) {
    FI from;
    for (int i = 0; i < WF; i++) from[i] = i / 4 * 4 + 2 * which + i % 4 / 2 + i % 2 * WF;
    return (DU)shuffled(low, high, from);
}
template <class Function, class... X> INLINE F as_doubles(Function f, X... x) {
    return narrow(f(half(x, 0)...), f(half(x, 1)...));
}

// To and from memory: as many numbers as doubles fit into a register, or as floats.
INLINE D wide(const double* from) {
    D v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}
INLINE D wide(const float* from) {
    HF v;
    __builtin_memcpy(&v, from, sizeof v);
    return widened(v);
}
INLINE void put(double* to, D v) { __builtin_memcpy(to, &v, sizeof v); }
INLINE void put(float* to, D v) {
    const HF rounded = __builtin_convertvector(v, HF);
    __builtin_memcpy(to, &rounded, sizeof rounded);
}
