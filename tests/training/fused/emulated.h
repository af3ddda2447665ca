// A GPU's threads, one after the other on a CPU: each runs until it has to wait for its neighbours.
#include <string.h>
#include <ucontext.h>

#define __global__
#define __shared__
#define __launch_bounds__(threads, blocks)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))

static struct { int x; } threadIdx, blockIdx, blockDim, gridDim;

template <class To, class From> static To same_bits(From from) {
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static int __float_as_int(float v) { return same_bits<int>(v); }
static float __int_as_float(int v) { return same_bits<float>(v); }
static long long __double_as_longlong(double v) { return same_bits<long long>(v); }
static double __longlong_as_double(long long v) { return same_bits<double>(v); }
static float __fsqrt_rn(float v) { return __builtin_sqrtf(v); }
static double __dsqrt_rn(double v) { return __builtin_sqrt(v); }
static float __int2float_rn(int v) { return v; }
static float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

enum { STACK = 1 << 18 };
static ucontext_t host, threads[OF_A_GROUP];
static char stacks[OF_A_GROUP][STACK];
static long long slots[OF_A_GROUP];
static int waiting, round_of_waiting;

// The next one's turn, until it is one's own again: then all that do the same have come as far.
static void __syncwarp(unsigned) {
    const int own = threadIdx.x, number = own % OF_A_GROUP, next = (number + 1) % OF_A_GROUP;
    threadIdx.x = own - number + next;
    swapcontext(threads + number, threads + next);
    threadIdx.x = own;
}
// Until all have come here.
static void __syncthreads() {
    const int own = round_of_waiting;
    if (++waiting == OF_A_GROUP) waiting = 0, round_of_waiting++;
    while (round_of_waiting == own) __syncwarp(0);
}
template <class T> static T __shfl_xor_sync(unsigned mask, T v, int distance, int) {
    const int lane = threadIdx.x % OF_A_GROUP;
    memcpy(slots + lane, &v, sizeof v);
    __syncwarp(mask);
    memcpy(&v, slots + (lane ^ distance), sizeof v);
    __syncwarp(mask);
    return v;
}

static void (*kernel)();
static void to_the_end() {
    kernel();
    __syncthreads();
    setcontext(&host);
}

// Every block of a grid, group by group.
static void launch(void (*given)(), int blocks, int groups) {
    kernel = given, gridDim.x = blocks, blockDim.x = groups * OF_A_GROUP;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (int group = 0; group < groups; group++) {
            for (int lane = 0; lane < OF_A_GROUP; lane++) {
                getcontext(threads + lane);
                threads[lane].uc_stack.ss_sp = stacks[lane], threads[lane].uc_stack.ss_size = STACK;
                makecontext(threads + lane, to_the_end, 0);
            }
            threadIdx.x = group * OF_A_GROUP;
            swapcontext(&host, threads);
        }
}
