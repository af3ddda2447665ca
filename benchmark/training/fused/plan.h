// What a program is given, and what its parts are called.
#pragma once

typedef unsigned long long u64;

// Everything that a call trains. Arrays of the replicas are [replica, ...].
struct Plan {
    long replicas, pieces, rows, period, rounds;
    long plain;                          // whether inputs are uniform, in one piece, and all alike
    const u64 *data_key, *noise_key;     // of each replica, without the step
    const int *source, *code;            // [replica]: its laws among those below, its operation
    const int (*spans)[2];               // [replica, operand, (first input, one after the last)]
    const double* straight;              // [source, input, piece, (cut, origin, slope, low, sign)]
    const int* law;                      // [source, input]: 0 uniform, 1 normal, 2 exponential
    const double* shape;                 // [source, input, (location, scale, lowest, highest)]
    const real* grid;                    // [input, row], instead of laws
    const real *rate, *schedule, *turns; // [replica], [step, column], [round, parameter]
    real* state;                         // [replica, STATE]
    double* watched;                     // [replica, 2]: sums of the batches' errors and of their squares, or null
};

// Points to judge at, in chunks. Arrays of the replicas are [replica, ...].
struct Points {
    long replicas, points, chunks;
    const real *state, *x;     // [replica, STATE], [set, chunk, input, CHUNK_ROW]
    const double* t;           // [target, chunk, output, CHUNK], nan where an output is not asked
    const int *set, *target;   // [replica]
    double* squares;           // [replica]: sums of squared errors, or null
    real *y, *sparsity;        // [replica, chunk, output, CHUNK_ROW] and [replica], or null
};

// Each number of an array, or each register of it, in turn; on a GPU shared out to a replica's threads.
#define OVER(k, size, step) for (int k = FIRST; k < (size); k += STRIDE(step))

// Lanes that draw one row; further threads draw further rows.
enum { ACROSS = THREADS < PADDED ? THREADS : PADDED };

// The inputs of one step of a replica; or the random numbers that they follow from, and what follows from these.
static void draw(const Plan& plan, long replica, u64 step, real* x);
static void draw_numbers(const Plan& plan, long replica, u64 step, double* numbers);
static void place_numbers(const Plan& plan, long replica, const double* numbers, real* x);
// One replica's steps. x: memory for DATA and LANES rows, of each example; p: for KEPT numbers. drawn: these steps'
// inputs, or null where each step draws its own.
static void train_one(const Plan& plan, long r, long first, long steps, real* x, real* p, const real* drawn);
// One replica at the points of some chunks; its squared errors are added to sums, [lane].
static void judge(const Points& points, long r, long chunk, long end, real* p, real* lanes, D* sums);
// The generated functions. prepare: what follows from the inputs alone, into y, the rows after them. learned: what
// follows from the parameters alone, which forward reads.
static void prepare(real* RESTRICT p, real* RESTRICT lanes, const real* RESTRICT x, real* RESTRICT y);
static void step(real* RESTRICT p, real* RESTRICT lanes, const real* RESTRICT x, const real* RESTRICT t,
                 const real* RESTRICT noise);
static void learned(real* RESTRICT p);
static void forward(real* RESTRICT p, real* RESTRICT lanes, const real* RESTRICT x, real* RESTRICT y);
