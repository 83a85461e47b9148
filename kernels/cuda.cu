// Flash attention for NVIDIA cards: forward, backward and decoding on tensor cores.  (Not here: the formulas, which are those
// of cpu.cpp; how this is built and launched, see cuda.py.)
//
// A build of this file is for one type of numbers T (bfloat16, or float16 with -DFLOAT16) and one HEAD_SIZE K (64 or 128).
// No header is included and no library is linked, so that the compiler inside PyTorch's wheel is enough.
//
// A block is four warps and has a tile of 64 rows, 16 a warp: of queries in forward and backward_queries, of keys in
// backward_keys.  A warp has all columns of its rows, so a softmax asks no other warp.  Rows of the other side come by in
// turn, copied into shared memory while those before are worked on: two buffers take turns, and one barrier a turn says
// both that all copies have come and that nobody reads the other buffer any more.  Backward is two kernels, so that every
// sum has one owner: results are the same bits in every run, and no atomics are needed.
//
// A warp multiplies matrices of 16 x 16 and 16 x 8 whose numbers are spread over its 32 lanes; lane n holds, of a product's
//
//     (16, 8) float32 result c:    c[0], c[1]  row n / 4,      columns 2 (n % 4) and the next
//                                  c[2], c[3]  row n / 4 + 8,  the same columns
//     (16, 16) left factor a:      a[0], a[1]  as c, two numbers in a word;  a[2], a[3]  the same, eight columns on
//     (16, 8) right factor b:      b0  rows 2 (n % 4) and the next, column n / 4;        b1  the same, eight rows on
//
// so two results side by side are, rounded, the left factor of the next product: probabilities never leave their registers.
//
// Scores are in base 2, where the card's exponential is one instruction: s_ij = log2(e) (scale q_i . k_j + slope (j - i)).
// Letters: N tokens of all sequences, H query heads, G key heads, K head size, B rows of a cache.

#ifndef HEAD_SIZE
#error "nvcc -DHEAD_SIZE=64 or 128, see cuda.py"
#endif
constexpr int K = HEAD_SIZE, WARPS = 4, THREADS = 32 * WARPS, TILE = 16 * WARPS;
constexpr int ROW = K + 8;                      // of a tile in shared memory: eight rows then lie in different banks
constexpr int STEP = 4096 / K;                  // rows of the other side that come by at a time: what there is room for
constexpr int KEYS = 2048 / K;                  // the same in decode
constexpr float UNSEEN = -3e38f, LEAST = -1e30f;    // exp2(UNSEEN - LEAST) is 0: a row that has seen nothing yet stays at 0

#ifdef FLOAT16
#define FORMAT "f16"
#else
#define FORMAT "bf16"
#endif
struct T { unsigned short bits; };
struct alignas(16) Eight { T x[8]; };           // what a thread moves at a time

// ---- what the hardware does (tests/simulator.cpp has the same for a machine without a card) ------------------------------

#ifndef SIMULATED
__device__ T *shared_memory() { extern __shared__ __align__(16) char memory[]; return (T *)memory; }
__device__ unsigned address(const void *shared) { return (unsigned)__cvta_generic_to_shared(shared); }

// Starts to copy 16 (4) bytes to shared memory, or as many zeros; wait() waits until all of this thread's copies have come.
__device__ void copy16(void *to, const void *from, bool real) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(address(to)), "l"(from), "r"(real ? 16 : 0) : "memory");
}
__device__ void copy4(void *to, const void *from, bool real) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(address(to)), "l"(from), "r"(real ? 4 : 0) : "memory");
}
__device__ void wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Four 8 x 8 matrices from shared memory, as factors: lane n names row n % 8 of matrix n / 8.
__device__ void load(unsigned (&x)[4], const T *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address(row)) : "memory");
}
__device__ void load_transposed(unsigned (&x)[4], const T *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address(row)) : "memory");
}
__device__ void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32." FORMAT "." FORMAT ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ unsigned pack(float low, float high) {                                // two numbers T in a word, rounded
    unsigned word;
    asm("cvt.rn." FORMAT "x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}
__device__ float widen(T x) {
#ifdef FLOAT16
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
    return wide;
#else
    return __uint_as_float((unsigned)x.bits << 16);
#endif
}
__device__ float exp2_(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
__device__ float log2_(float x) { float y; asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
__device__ float of_lane(float x, int lane) { return __shfl_sync(~0u, x, lane); }
#endif

// ---- tiles -------------------------------------------------------------------------------------------------------------

struct Shape {                                  // strides in numbers: of tokens, heads and a cache's rows; a head is dense
    long q_token, q_head, k_token, k_head, k_row, v_token, v_head, v_row, N;
    int H, G, window;                           // window: what no distance reaches, where there is none
    float scale;
};

struct Work { int start, length, first; };      // a tile's sequence in N, how long it is, and the tile's first row in it

// MANY threads start to copy ROWS rows of a head, `step` apart, of which `count` exist; the others are zeros.
template <int ROWS, int MANY> __device__ void fetch(T *to, const T *from, long step, int count, int thread) {
    const int row = thread / (K / 8), column = thread % (K / 8) * 8;
    from += row * step + column, to += row * ROW + column;
    #pragma unroll
    for (int r = 0; r < ROWS; r += MANY / (K / 8)) copy16(to + r * ROW, from + r * step, row + r < count);
}

// c (16, COLUMNS) += A (16, K) B^T, of B (COLUMNS, K); both in shared memory.
template <int COLUMNS> __device__ void multiply_rows(float (&c)[COLUMNS / 8][4], const T *A, const T *B) {
    const int lane = threadIdx.x % 32;
    const T *a_row = A + lane % 16 * ROW + lane / 16 * 8, *b_row = B + (lane / 16 * 8 + lane % 8) * ROW + lane / 8 % 2 * 8;
    #pragma unroll
    for (int d = 0; d < K; d += 16) {
        unsigned a[4], b[4];
        load(a, a_row + d);
        #pragma unroll
        for (int n = 0; n < COLUMNS; n += 16) {
            load(b, b_row + n * ROW + d);
            multiply_add(c[n / 8], a, b[0], b[1]);
            multiply_add(c[n / 8 + 1], a, b[2], b[3]);
        }
    }
}

// c (16, K) += P (16, ROWS) B (ROWS, K), of P in registers, a product's result, and B in shared memory.
template <int ROWS> __device__ void multiply_result(float (&c)[K / 8][4], const float (&p)[ROWS / 8][4], const T *B) {
    const int lane = threadIdx.x % 32;
    const T *b_row = B + lane % 16 * ROW + lane / 16 * 8;
    #pragma unroll
    for (int r = 0; r < ROWS; r += 16) {
        const float (&left)[4] = p[r / 8], (&right)[4] = p[r / 8 + 1];
        const unsigned a[4] = {pack(left[0], left[1]), pack(left[2], left[3]), pack(right[0], right[1]), pack(right[2], right[3])};
        unsigned b[4];
        #pragma unroll
        for (int n = 0; n < K; n += 16) {
            load_transposed(b, b_row + r * ROW + n);
            multiply_add(c[n / 8], a, b[0], b[1]);
            multiply_add(c[n / 8 + 1], a, b[2], b[3]);
        }
    }
}

// c (16, K) times a factor for each of the lane's two rows, to rows `step` apart, of which `count` exist.
__device__ void write(T *to, long step, int count, const float (&c)[K / 8][4], const float (&factor)[2]) {
    const int lane = threadIdx.x % 32;
    #pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = lane / 4 + 8 * half;
        if (row < count)
            #pragma unroll
            for (int n = 0; n < K / 8; ++n)
                *(unsigned *)(to + row * step + 8 * n + lane % 4 * 2) =
                    pack(c[n][2 * half] * factor[half], c[n][2 * half + 1] * factor[half]);
    }
}

// A score from its product, at distance j - i.
struct Bias {
    float scale, slope, window;
    __device__ Bias(const Shape &s, const float *slopes, int h)
        : scale(s.scale * 1.44269504f), slope(slopes ? slopes[h] * 1.44269504f : 0), window(s.window) {}
    __device__ float operator()(float product, float distance) const {
        return distance > 0 || distance <= -window ? UNSEEN : product * scale + slope * distance;
    }
};

// Of a row over the four lanes that share it.
__device__ float largest(float x) {
    const int lane = threadIdx.x % 32;
    x = fmaxf(x, of_lane(x, lane ^ 1));
    return fmaxf(x, of_lane(x, lane ^ 2));
}
__device__ float sum(float x) {
    const int lane = threadIdx.x % 32;
    x += of_lane(x, lane ^ 1);
    return x + of_lane(x, lane ^ 2);
}

// What forward keeps of a warp's 16 rows: each lane of its two, and of their outputs the columns it holds.
struct Softmax {
    float o[K / 8][4] = {}, m[2] = {LEAST, LEAST}, l[2] = {};

    // Takes scores, makes them probabilities relative to the largest so far, and adds the values they weigh.
    template <int COLUMNS> __device__ void add(float (&s)[COLUMNS / 8][4], const T *values) {
        #pragma unroll
        for (int half = 0; half < 2; ++half) {
            float most = m[half], total = 0;
            #pragma unroll
            for (int n = 0; n < COLUMNS / 8; ++n) most = fmaxf(most, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
            most = largest(most);
            #pragma unroll
            for (int n = 0; n < COLUMNS / 8; ++n)
                for (int e = 2 * half; e < 2 * half + 2; ++e) total += s[n][e] = exp2_(s[n][e] - most);
            const float shrink = exp2_(m[half] - most);
            m[half] = most;
            l[half] = l[half] * shrink + total;                                  // summed over the lanes at the end
            #pragma unroll
            for (int n = 0; n < K / 8; ++n) o[n][2 * half] *= shrink, o[n][2 * half + 1] *= shrink;
        }
        multiply_result<COLUMNS>(o, s, values);
    }
};

// ---- forward -----------------------------------------------------------------------------------------------------------

// Grid tiles of queries * H.  out (N, H, K) is dense; lse (H, N) is what backward needs.
extern "C" __global__ void __launch_bounds__(THREADS) forward(
        Shape s, const Work *work, const T *q, const T *k, const T *v, const float *slopes, T *out, float *lse) {
    const Work w = work[blockIdx.x / s.H];
    const int h = blockIdx.x % s.H, g = h / (s.H / s.G), thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const int begin = w.first >= s.window ? (w.first - s.window + 1) / TILE * TILE : 0;
    const int end = w.first + TILE < w.length ? w.first + TILE : w.length;
    T *queries = shared_memory(), *keys = queries + TILE * ROW, *values = keys + 2 * STEP * ROW;   // two turns of each
    q += (w.start + w.first) * s.q_token + h * s.q_head;
    k += w.start * s.k_token + g * s.k_head;
    v += w.start * s.v_token + g * s.v_head;
    auto fetch_keys = [&](int j, int turn) {
        if (j < end) {
            fetch<STEP, THREADS>(keys + turn * STEP * ROW, k + j * s.k_token, s.k_token, w.length - j, thread);
            fetch<STEP, THREADS>(values + turn * STEP * ROW, v + j * s.v_token, s.v_token, w.length - j, thread);
        }
    };
    fetch<TILE, THREADS>(queries, q, s.q_token, w.length - w.first, thread);
    fetch_keys(begin, 0);

    const Bias bias(s, slopes, h);
    const int i = w.first + 16 * warp + lane / 4;                                // the first of this lane's two rows
    Softmax softmax;
    for (int j = begin, turn = 0; j < end; j += STEP, turn ^= 1) {
        wait();
        __syncthreads();
        fetch_keys(j + STEP, turn ^ 1);
        const float ahead = j + lane % 4 * 2 - i;                                // of the first score that this lane has
        float score[STEP / 8][4] = {};
        multiply_rows<STEP>(score, queries + 16 * warp * ROW, keys + turn * STEP * ROW);
        #pragma unroll
        for (int n = 0; n < STEP / 8; ++n)
            #pragma unroll
            for (int e = 0; e < 4; ++e)
                score[n][e] = bias(score[n][e], ahead + (8 * n + e % 2 - e / 2 * 8));
        softmax.add<STEP>(score, values + turn * STEP * ROW);
    }

    const int row = w.first + 16 * warp;
    float factor[2];
    #pragma unroll
    for (int half = 0; half < 2; ++half) {
        const float total = sum(softmax.l[half]);
        factor[half] = 1 / total;
        if (lane % 4 == 0 && i + 8 * half < w.length)
            lse[h * s.N + w.start + i + 8 * half] = softmax.m[half] + log2_(total);
    }
    write(out + ((w.start + row) * (long)s.H + h) * K, (long)s.H * K, w.length - row, softmax.o, factor);
}

// ---- backward ----------------------------------------------------------------------------------------------------------

// Grid tiles of queries * H: dq, and delta (H, N), which is do_i . o_i, for backward_keys.  out, grad, dq are dense.
extern "C" __global__ void __launch_bounds__(THREADS) backward_queries(
        Shape s, const Work *work, const T *q, const T *k, const T *v, const float *slopes, const T *out, const float *lse,
        const T *grad, float *delta, T *dq) {
    const Work w = work[blockIdx.x / s.H];
    const int h = blockIdx.x % s.H, g = h / (s.H / s.G), thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const int begin = w.first >= s.window ? (w.first - s.window + 1) / TILE * TILE : 0;
    const int end = w.first + TILE < w.length ? w.first + TILE : w.length;
    T *queries = shared_memory(), *grads = queries + TILE * ROW, *keys = grads + TILE * ROW, *values = keys + 2 * STEP * ROW;
    const long dense = (long)s.H * K, at = (w.start + w.first) * dense + h * K;
    q += (w.start + w.first) * s.q_token + h * s.q_head;
    k += w.start * s.k_token + g * s.k_head;
    v += w.start * s.v_token + g * s.v_head;
    auto fetch_keys = [&](int j, int turn) {
        if (j < end) {
            fetch<STEP, THREADS>(keys + turn * STEP * ROW, k + j * s.k_token, s.k_token, w.length - j, thread);
            fetch<STEP, THREADS>(values + turn * STEP * ROW, v + j * s.v_token, s.v_token, w.length - j, thread);
        }
    };
    fetch<TILE, THREADS>(queries, q, s.q_token, w.length - w.first, thread);
    fetch<TILE, THREADS>(grads, grad + at, dense, w.length - w.first, thread);
    fetch_keys(begin, 0);

    const int row = 16 * warp + lane / 2;                                        // two lanes a row for delta
    float dot = 0;
    if (w.first + row < w.length)
        for (int d = lane % 2 * (K / 2); d < (lane % 2 + 1) * (K / 2); d += 8) {
            const Eight go = *(const Eight *)(grad + at + row * dense + d), o = *(const Eight *)(out + at + row * dense + d);
            for (int e = 0; e < 8; ++e) dot += widen(go.x[e]) * widen(o.x[e]);
        }
    dot += of_lane(dot, lane ^ 1);
    if (lane % 2 == 0 && w.first + row < w.length) delta[h * s.N + w.start + w.first + row] = dot;

    const Bias bias(s, slopes, h);
    const int i = w.first + 16 * warp + lane / 4;
    float sums[K / 8][4] = {}, my_lse[2], my_delta[2];
    #pragma unroll
    for (int half = 0; half < 2; ++half) {
        my_delta[half] = of_lane(dot, (lane / 4 + 8 * half) * 2);
        my_lse[half] = i + 8 * half < w.length ? lse[h * s.N + w.start + i + 8 * half] : 0;
    }
    for (int j = begin, turn = 0; j < end; j += STEP, turn ^= 1) {
        wait();
        __syncthreads();
        fetch_keys(j + STEP, turn ^ 1);
        const float ahead = j + lane % 4 * 2 - i;
        float p[STEP / 8][4] = {}, ds[STEP / 8][4] = {};
        multiply_rows<STEP>(p, queries + 16 * warp * ROW, keys + turn * STEP * ROW);
        multiply_rows<STEP>(ds, grads + 16 * warp * ROW, values + turn * STEP * ROW);
        #pragma unroll
        for (int n = 0; n < STEP / 8; ++n)
            #pragma unroll
            for (int e = 0; e < 4; ++e) {
                const float score = bias(p[n][e], ahead + (8 * n + e % 2 - e / 2 * 8));
                ds[n][e] = exp2_(score - my_lse[e / 2]) * (ds[n][e] - my_delta[e / 2]);
            }
        multiply_result<STEP>(sums, ds, keys + turn * STEP * ROW);
    }
    write(dq + at + 16 * warp * dense, dense, w.length - w.first - 16 * warp, sums, {s.scale, s.scale});
}

// Grid tiles of keys * G: dk and dv (N, G, K), dense, summed over the heads that share a head of keys.  Scores are
// transposed here: rows are keys, columns queries.
extern "C" __global__ void __launch_bounds__(THREADS) backward_keys(
        Shape s, const Work *work, const T *q, const T *k, const T *v, const float *slopes, const float *lse, const T *grad,
        const float *delta, T *dk, T *dv) {
    const Work w = work[blockIdx.x / s.G];
    const int g = blockIdx.x % s.G, group = s.H / s.G, thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const long dense = (long)s.H * K;
    T *keys = shared_memory(), *values = keys + TILE * ROW, *queries = values + TILE * ROW, *grads = queries + 2 * STEP * ROW;
    float *lses = (float *)(grads + 2 * STEP * ROW), *deltas = lses + 2 * STEP;
    // Behind the last query that sees any of these keys.  (Slopes are not negative, so no score overflows there.)
    const int reach = w.length - w.first - TILE < s.window ? w.length : w.first + TILE + s.window - 1;
    int next_h = g * group, next_i = w.first;                                    // of the tile fetched next
    auto fetch_queries = [&](int turn) {
        if (next_h < (g + 1) * group) {
            const int h = next_h, i = next_i;
            const long token = w.start + i;
            fetch<STEP, THREADS>(queries + turn * STEP * ROW, q + token * s.q_token + h * s.q_head, s.q_token, w.length - i, thread);
            fetch<STEP, THREADS>(grads + turn * STEP * ROW, grad + token * dense + h * K, dense, w.length - i, thread);
            if (thread < STEP) {
                const bool real = i + thread < w.length;
                copy4(lses + turn * STEP + thread, lse + h * s.N + token + (real ? thread : 0), real);
                copy4(deltas + turn * STEP + thread, delta + h * s.N + token + (real ? thread : 0), real);
            }
            next_i += STEP;
            if (next_i >= reach) next_i = w.first, ++next_h;
        }
    };
    fetch<TILE, THREADS>(keys, k + (w.start + w.first) * s.k_token + g * s.k_head, s.k_token, w.length - w.first, thread);
    fetch<TILE, THREADS>(values, v + (w.start + w.first) * s.v_token + g * s.v_head, s.v_token, w.length - w.first, thread);
    fetch_queries(0);

    const int j = w.first + 16 * warp + lane / 4;                                // the first of this lane's two keys
    float sum_k[K / 8][4] = {}, sum_v[K / 8][4] = {};
    int h = g * group, i = w.first;
    for (int turn = 0; h < (g + 1) * group; turn ^= 1) {
        wait();
        __syncthreads();
        fetch_queries(turn ^ 1);
        const Bias bias(s, slopes, h);
        const T *turn_queries = queries + turn * STEP * ROW, *turn_grads = grads + turn * STEP * ROW;
        const float ahead = j - i - lane % 4 * 2;
        float p[STEP / 8][4] = {}, ds[STEP / 8][4] = {};
        multiply_rows<STEP>(p, keys + 16 * warp * ROW, turn_queries);
        multiply_rows<STEP>(ds, values + 16 * warp * ROW, turn_grads);
        #pragma unroll
        for (int n = 0; n < STEP / 8; ++n)
            #pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int column = 8 * n + lane % 4 * 2 + e % 2;                 // beyond the sequence all else is 0
                p[n][e] = exp2_(bias(p[n][e], ahead - (8 * n + e % 2 - e / 2 * 8)) - lses[turn * STEP + column]);
                ds[n][e] = p[n][e] * (ds[n][e] - deltas[turn * STEP + column]);
            }
        multiply_result<STEP>(sum_v, p, turn_grads);
        multiply_result<STEP>(sum_k, ds, turn_queries);
        i += STEP;
        if (i >= reach) i = w.first, ++h;
    }
    const int row = w.first + 16 * warp;
    const long at = ((w.start + row) * (long)s.G + g) * K;
    write(dk + at, (long)s.G * K, w.length - row, sum_k, {s.scale, s.scale});
    write(dv + at, (long)s.G * K, w.length - row, sum_v, {1, 1});
}

// ---- decoding ----------------------------------------------------------------------------------------------------------

// Grid (parts / WARPS, G * sixteens of a group's heads, B): one query a row and head, q (B, H, K) dense, against a cache's
// first lengths[b] keys.  A warp has a part of the keys, and the heads that share them as its 16 rows; nothing is shared by
// warps.  part (B, H, parts, K + 2): a part's outputs, not yet divided, its largest score and its sum.
extern "C" __global__ void __launch_bounds__(THREADS) decode(
        Shape s, const long *lengths, const T *q, const T *k, const T *v, const float *slopes, float *part) {
    const int b = blockIdx.z, group = s.H / s.G, sixteens = (group + 15) / 16, g = blockIdx.y / sixteens;
    const int first_h = g * group + blockIdx.y % sixteens * 16, heads = (g + 1) * group - first_h;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, parts = gridDim.x * WARPS, mine = blockIdx.x * WARPS + warp;
    const int length = lengths[b], seen = length < s.window ? length : s.window;
    const int size = (seen + parts * KEYS - 1) / (parts * KEYS) * KEYS;          // keys a part, in whole steps
    const int begin = length - seen + mine * size, end = begin + size < length ? begin + size : length;
    T *queries = shared_memory() + warp * (16 + 4 * KEYS) * ROW, *keys = queries + 16 * ROW, *values = keys + 2 * KEYS * ROW;
    k += b * s.k_row + g * s.k_head;
    v += b * s.v_row + g * s.v_head;
    auto fetch_keys = [&](int j, int turn) {
        if (j < end) {
            fetch<KEYS, 32>(keys + turn * KEYS * ROW, k + j * s.k_token, s.k_token, end - j, lane);
            fetch<KEYS, 32>(values + turn * KEYS * ROW, v + j * s.v_token, s.v_token, end - j, lane);
        }
    };
    if (begin < end) fetch<16, 32>(queries, q + ((long)b * s.H + first_h) * K, K, heads, lane);
    fetch_keys(begin, 0);

    const int row = lane / 4;
    const Bias bias[2] = {Bias(s, slopes, row < heads ? first_h + row : first_h),
                          Bias(s, slopes, row + 8 < heads ? first_h + row + 8 : first_h)};
    Softmax softmax;
    for (int j = begin, turn = 0; j < end; j += KEYS, turn ^= 1) {
        wait();
        __syncwarp();
        fetch_keys(j + KEYS, turn ^ 1);
        const float ahead = j + lane % 4 * 2 - (length - 1);
        float score[KEYS / 8][4] = {};
        multiply_rows<KEYS>(score, queries, keys + turn * KEYS * ROW);
        #pragma unroll
        for (int n = 0; n < KEYS / 8; ++n)
            for (int e = 0; e < 4; ++e) {
                score[n][e] = bias[e / 2](score[n][e], ahead + (8 * n + e % 2));      // beyond the last, UNSEEN
            }
        softmax.add<KEYS>(score, values + turn * KEYS * ROW);
    }
    #pragma unroll
    for (int half = 0; half < 2; ++half) {
        const float total = sum(softmax.l[half]);
        if (row + 8 * half < heads) {
            float *to = part + (((long)b * s.H + first_h + row + 8 * half) * parts + mine) * (K + 2);
            for (int n = 0; n < K / 8; ++n)
                for (int e = 0; e < 2; ++e) to[8 * n + lane % 4 * 2 + e] = softmax.o[n][2 * half + e];
            if (lane % 4 == 0) to[K] = softmax.m[half], to[K + 1] = total;
        }
    }
}

// Grid (H, B), K threads: the parts of a head together, out (B, H, K).
extern "C" __global__ void __launch_bounds__(K) combine(const float *part, int parts, T *out) {
    const long at = (long)blockIdx.y * gridDim.x + blockIdx.x;
    part += at * parts * (K + 2);
    float most = LEAST, total = 0, sum = 0;
    #pragma unroll 8
    for (int n = 0; n < parts; ++n) most = fmaxf(most, part[n * (K + 2) + K]);
    #pragma unroll 8
    for (int n = 0; n < parts; ++n) {
        const float weight = exp2_(part[n * (K + 2) + K] - most);
        sum += weight * part[n * (K + 2) + threadIdx.x];
        total += weight * part[n * (K + 2) + K + 1];
    }
    out[at * K + threadIdx.x].bits = pack(sum / total, 0);
}
