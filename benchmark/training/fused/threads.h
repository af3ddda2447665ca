// A GPU's registers: a vector is one number; otherwise as registers.h.
//
// A replica has sixteen THREADS, one for each lane, or more, which share out its examples.
#pragma once

#define INLINE static __forceinline__
#define OUTLINE static __noinline__
#define RESTRICT  // what one thread writes, its neighbours read
#define INFINITE __longlong_as_double(0x7ff0000000000000)
#define NOT_A_NUMBER __longlong_as_double(0x7ff8000000000000)
#define SYNC (THREADS > 16 ? __syncthreads() : __syncwarp(0xffffu << (threadIdx.x & 16)))
#define FIRST (int)(threadIdx.x % THREADS)
#define STRIDE(count) THREADS
#define ACROSS_BY(count) ACROSS
#define EACH_LANE(at, size, step) for (int at = FIRST < 16 ? FIRST : (size); at < (size); at += 16)

typedef float F;
typedef double D;
typedef int FI;
typedef long long DI;
typedef unsigned FU;
typedef unsigned long long DU;
enum { WF = 1, WD = 1 };

INLINE F all(float v) { return v; }
INLINE D all(double v) { return v; }
INLINE FI bits(F v) { return __float_as_int(v); }
INLINE DI bits(D v) { return __double_as_longlong(v); }
INLINE F number(FI v) { return __int_as_float(v); }
INLINE D number(DI v) { return __longlong_as_double(v); }
template <class I, class R> INLINE R select(I mask, R a, R b) { return mask ? a : b; }
template <class I> INLINE I inverse(I mask) { return !mask; }
INLINE bool any(DI mask) { return mask; }

INLINE F root(F v) { return __fsqrt_rn(v); }
INLINE D root(D v) { return __dsqrt_rn(v); }
INLINE DU joined(FU low, FU high, int) { return (DU)high << 32 | low; }

INLINE long long* lanes_of(DI& v) { return &v; }
INLINE double* lanes_of(D& v) { return &v; }
template <class Function, class... X> INLINE F as_doubles(Function f, X... x) { return (F)f((D)x...); }
INLINE D wide(const float* from) { return *from; }
INLINE D wide(const double* from) { return *from; }
INLINE void put(float* to, D v) { *to = (float)v; }
INLINE void put(double* to, D v) { *to = v; }
