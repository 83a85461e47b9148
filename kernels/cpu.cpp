// Flash attention for the CPU: forward, backward and decoding.  (Not here: how it is built and called, see native.py.)
//
//     o_i = sum_j p_ij v_j,   p_ij = exp(s_ij - lse_i),   s_ij = scale q_i . k_j + slope (j - i),   j <= i
//
// The T x T matrix of scores never exists (Dao 2022).  A tile of BLOCK queries meets a tile of BLOCK keys at a time, and
// both, with their scores, stay in the nearest caches.  Forward, a row keeps the largest score m seen so far, the sum l of
// exp(s - m), and its output with that same m; a tile with a larger score rescales what is there (Milakov 2018).  What
// backward needs of all this is one number a row, lse = m + log l:
//
//     dp_ij = do_i . v_j           ds_ij = p_ij (dp_ij - do_i . o_i)
//     dq_i = scale sum_j ds_ij k_j      dk_j = scale sum_i ds_ij q_i      dv_j = sum_i p_ij do_i
//
// So attention is five products of small matrices a tile, and all of them go through `multiply`, the one hot loop here.
// Memory holds float32 or bfloat16 (or float64, for gradient checks); arithmetic is float32 (float64) throughout.
//
// Sequences lie end to end and are tasks of their own, as are heads: no result depends on a neighbour or on the number of
// threads.  Letters: T tokens of a sequence, H query heads, G key heads, K head size (of whole pairs of vectors), B rows.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__AVX512F__)
constexpr int BYTES = 64, ROWS = 12;            // of a vector; rows of a product's tile: ROWS x 2 vectors in registers
#else
constexpr int BYTES = 32, ROWS = 6;
#endif
constexpr int BLOCK = 96;                       // queries, and keys, of a tile: a multiple of ROWS and of two vectors

static_assert(BLOCK % ROWS == 0 && BLOCK % (2 * BYTES / sizeof(float)) == 0, "tiles are of whole products");

struct bfloat16 { uint16_t bits; };

// ---- vectors -------------------------------------------------------------------------------------------------------

template <typename Real> struct Vectors {
    typedef Real vec __attribute__((vector_size(BYTES), aligned(sizeof(Real)), may_alias));
    static constexpr int LANES = BYTES / sizeof(Real);
};
template <> struct Vectors<bfloat16> {};         // no arithmetic: numbers are widened as they are loaded
template <typename Real> using Vec = typename Vectors<Real>::vec;
template <typename Real> constexpr int lanes = Vectors<Real>::LANES;
typedef uint16_t halves __attribute__((vector_size(BYTES / 2), aligned(2), may_alias));
typedef int32_t ints __attribute__((vector_size(BYTES), aligned(4), may_alias));
typedef uint32_t words __attribute__((vector_size(BYTES), aligned(4), may_alias));

template <typename Real> Vec<Real> load(const Real *from) { return *(const Vec<Real> *)from; }
inline Vec<float> load(const bfloat16 *from) { return (Vec<float>)(__builtin_convertvector(*(const halves *)from, words) << 16); }

template <typename Real> void store(Real *to, Vec<Real> x) { *(Vec<Real> *)to = x; }
inline void store(bfloat16 *to, Vec<float> x) {                                  // rounded to the nearest, ties to even
    words bits = (words)x;
    bits = (x == x) ? (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 : (words)(bits >> 16 | 0x40);
    *(halves *)to = __builtin_convertvector(bits, halves);
}

inline Vec<float> exp(Vec<float> x) {           // 2^n e^r, |r| <= log(2) / 2, e^r by its series: error 2e-7
    const float least = -87.0f;                 // x is at most 0, but for rounding: a score less the largest, or less lse
    Vec<float> inside = x < least ? Vec<float>{} + least : x;
    Vec<float> shifted = inside * 1.44269504f + 12582912.0f;                     // 1.5 * 2^23 leaves the whole number
    Vec<float> n = shifted - 12582912.0f, r = inside - n * 0.693359375f - n * -2.12194440e-4f;
    Vec<float> p = 1.0f + r * (1.0f + r * (0.5f + r * (0.166666672f + r * (0.0416664853f + r * (0.00833336077f
                 + r * 0.00139304355f)))));
    Vec<float> power = (Vec<float>)(((ints)shifted << 23) + (ints)p);            // its low bits are n: p * 2^n
    return x < least ? Vec<float>{} : (x == x ? power : x);
}
inline Vec<double> exp(Vec<double> x) {
    for (int i = 0; i < lanes<double>; ++i) x[i] = std::exp(x[i]);
    return x;
}

template <typename Real> Real sum(Vec<Real> x) { Real s = 0; for (int i = 0; i < lanes<Real>; ++i) s += x[i]; return s; }
template <typename Real> Real largest(Vec<Real> x) {
    Real most = x[0];
    for (int i = 1; i < lanes<Real>; ++i) most = x[i] > most ? x[i] : most;
    return most;
}
template <typename Real> Vec<Real> counting() { Vec<Real> x; for (int i = 0; i < lanes<Real>; ++i) x[i] = i; return x; }

// ---- the one hot loop ----------------------------------------------------------------------------------------------

// What of a product is wanted, where a tile of scores lies on the diagonal and half of it is the future:
enum Part { ALL, LOWER_C, LOWER_A, UPPER_A };    // C's lower triangle; A has but its lower, or its upper one

// C (M, N) = A (M, D) B (D, N), or += .  N is a multiple of two vectors; M is rounded up to ROWS, so C has rows for it, and
// A may be read there (what comes out is not looked at).  A's strides are free: a transposed A costs nothing.
template <typename Real>
void multiply(bool add, Part part, int M, int N, int D, const Real *A, long a_row, long a_column, const Real *B, long b_row,
              Real *C, long c_row) {
    constexpr int W = lanes<Real>;
    for (int n = 0; n < N; n += 2 * W)          // B's two columns of vectors stay in the first cache for all rows
        for (int m = 0; m < M; m += ROWS) {
            if (part == LOWER_C && n >= m + ROWS) continue;
            const int begin = part == UPPER_A ? m : 0, end = part == LOWER_A && m + ROWS < D ? m + ROWS : D;
            Vec<Real> sum[ROWS][2] = {};
            const Real *a = A + m * a_row + begin * a_column, *b = B + begin * b_row + n;
            for (int d = begin; d < end; ++d, a += a_column, b += b_row) {
                const Vec<Real> left = load(b), right = load(b + W);
                for (int r = 0; r < ROWS; ++r) {
                    sum[r][0] += a[r * a_row] * left;
                    sum[r][1] += a[r * a_row] * right;
                }
            }
            Real *c = C + m * c_row + n;
            for (int r = 0; r < ROWS; ++r, c += c_row) {
                store(c, add ? load(c) + sum[r][0] : sum[r][0]);
                store(c + W, add ? load(c + W) + sum[r][1] : sum[r][1]);
            }
        }
}

// ---- tiles ---------------------------------------------------------------------------------------------------------

template <typename Real> Real *room(size_t numbers) {                            // not zeroed; freed by the caller
    return (Real *)std::aligned_alloc(64, (numbers * sizeof(Real) + 63) / 64 * 64);
}

template <typename T, typename Real>
void copy(const T *from, long step, int rows, int K, Real factor, Real *to) {    // rows of K, end to end, times factor
    for (int i = 0; i < rows; ++i)
        for (int d = 0; d < K; d += lanes<Real>) store(to + i * K + d, load(from + i * step + d) * factor);
}

template <typename T, typename Real>
void copy_transposed(const T *from, long step, int rows, int K, Real *to) {      // (K, BLOCK), zeros beyond `rows`
    Real lines[lanes<Real>][lanes<Real>];
    for (int i = 0; i < BLOCK; i += lanes<Real>)
        for (int d = 0; d < K; d += lanes<Real>) {
            for (int r = 0; r < lanes<Real>; ++r)
                store(lines[r], i + r < rows ? load(from + (i + r) * step + d) : Vec<Real>{});
            for (int c = 0; c < lanes<Real>; ++c)
                for (int r = 0; r < lanes<Real>; ++r) to[(d + c) * BLOCK + i + r] = lines[r][c];
        }
}

struct Tile { int i, j, queries, keys, columns, window; bool whole; };           // columns: keys, rounded up

template <typename Real> Tile tile(int i, int j, int T, int window) {
    const int step = 2 * lanes<Real>, queries = T - i < BLOCK ? T - i : BLOCK, keys = T - j < BLOCK ? T - j : BLOCK;
    const bool whole = j + BLOCK <= i + 1 && (window == 0 || j > i + queries - 1 - window);
    return {i, j, queries, keys, (keys + step - 1) / step * step, window, whole};
}

// The first key that a query sees, and the first tile of keys that a tile of queries meets.
inline int first_key(int i, int window) { return window && i >= window ? i - window + 1 : 0; }
inline int first_block(int i, int window) { return first_key(i, window) / BLOCK * BLOCK; }

// Scores of row r to scores with bias; -inf where the query does not see the key.
template <typename Real> Vec<Real> biased(const Tile &t, int r, int c, Vec<Real> score, Real slope) {
    const Real i = t.i + r;
    const Vec<Real> j = counting<Real>() + (Real)(t.j + c);
    score += slope * (j - i);
    if (t.whole) return score;
    const Vec<Real> unseen = Vec<Real>{} - (Real)INFINITY;
    score = j > i ? unseen : score;
    return t.window ? (j <= i - t.window ? unseen : score) : score;
}

struct Shape {                                  // strides in numbers, of tokens and of heads; a head is dense
    int64_t sequences, H, G, K, window, threads, q_token, q_head, k_token, k_head, v_token, v_head, k_row, v_row;
    double scale;
};

// ---- forward -------------------------------------------------------------------------------------------------------

template <typename T, typename Real>
void forward_tile(const Shape &s, int length, int i, const T *q, const Real *keys_transposed, const Real *values, Real slope,
                  T *out, Real *lse, Real *work) {
    const int K = s.K, queries = length - i < BLOCK ? length - i : BLOCK, W = lanes<Real>;
    Real *scores = work, *query = scores + BLOCK * BLOCK, *sum_o = query + BLOCK * K, m[BLOCK], l[BLOCK];
    copy(q + i * s.q_token, s.q_token, queries, K, (Real)s.scale, query);
    for (int r = 0; r < BLOCK; ++r) m[r] = -INFINITY, l[r] = 0;
    std::memset(sum_o, 0, BLOCK * K * sizeof(Real));
    for (int j = first_block(i, s.window); j < i + queries; j += BLOCK) {
        const Tile t = tile<Real>(i, j, length, s.window);
        const bool diagonal = i == j;
        multiply(false, diagonal ? LOWER_C : ALL, queries, t.columns, K, query, K, 1, keys_transposed + (long)j * K, BLOCK,
                 scores, BLOCK);
        for (int r = 0; r < queries; ++r) {
            Real *row = scores + r * BLOCK;
            Vec<Real> most = Vec<Real>{} - (Real)INFINITY, total{};
            for (int c = 0; c < t.columns; c += W) {
                const Vec<Real> score = biased(t, r, c, load(row + c), slope);
                store(row + c, score);
                most = score > most ? score : most;
            }
            const Real before = m[r], now = largest<Real>(most);
            m[r] = now > before ? now : before;
            const Real base = m[r] == -INFINITY ? 0 : m[r];                      // nothing seen yet: all exp are 0
            for (int c = 0; c < t.columns; c += W) {
                const Vec<Real> p = exp(load(row + c) - base);
                store(row + c, p);
                total += p;
            }
            const Real shrink = std::exp(before - base);
            l[r] = l[r] * shrink + sum<Real>(total);
            if (shrink != 1)
                for (int d = 0; d < K; d += W) store(sum_o + r * K + d, load(sum_o + r * K + d) * shrink);
        }
        multiply(true, diagonal ? LOWER_A : ALL, queries, K, t.keys, scores, BLOCK, 1, values + (long)j * K, K, sum_o, K);
    }
    for (int r = 0; r < queries; ++r) {
        lse[(i + r) * s.H] = m[r] + std::log(l[r]);
        copy(sum_o + r * K, 0, 1, K, 1 / l[r], sum_o + r * K);
        for (int d = 0; d < K; d += W) store(out + (i + r) * s.H * K + d, load(sum_o + r * K + d));
    }
}

// out (N, H, K) and lse (N, H) are dense.  starts: where each sequence begins, and N.
template <typename T, typename Real>
void forward(const Shape &s, const int32_t *starts, const T *q, const T *k, const T *v, const Real *slopes, T *out, Real *lse) {
    const long tiles = starts[s.sequences] / BLOCK + s.sequences, size = tiles * BLOCK * s.K;      // of one key head
    Real *keys = room<Real>(s.G * size), *values = room<Real>(s.G * size);
    #pragma omp parallel num_threads(s.threads)
    {
        Real *work = room<Real>(BLOCK * BLOCK + 2 * BLOCK * s.K);
        #pragma omp for collapse(2) schedule(dynamic)
        for (long b = 0; b < s.sequences; ++b)
            for (long g = 0; g < s.G; ++g) {
                const int length = starts[b + 1] - starts[b];
                const long at = g * size + (starts[b] / BLOCK + b) * BLOCK * s.K;
                const T *first_k = k + starts[b] * s.k_token + g * s.k_head, *first_v = v + starts[b] * s.v_token + g * s.v_head;
                for (int j = 0; j < length; j += BLOCK) {
                    const int rows = length - j < BLOCK ? length - j : BLOCK;
                    copy_transposed(first_k + j * s.k_token, s.k_token, rows, s.K, keys + at + j * s.K);
                    copy(first_v + j * s.v_token, s.v_token, rows, s.K, (Real)1, values + at + j * s.K);
                }
            }
        #pragma omp for collapse(2) schedule(dynamic)
        for (long b = 0; b < s.sequences; ++b)
            for (long h = 0; h < s.H; ++h) {
                const long at = h / (s.H / s.G) * size + (starts[b] / BLOCK + b) * BLOCK * s.K, first = starts[b];
                const int length = starts[b + 1] - starts[b];
                for (int i = 0; i < length; i += BLOCK)
                    forward_tile(s, length, i, q + first * s.q_token + h * s.q_head, keys + at, values + at,
                                 slopes ? slopes[h] : 0, out + (first * s.H + h) * s.K, lse + first * s.H + h, work);
            }
        std::free(work);
    }
    std::free(keys);
    std::free(values);
}

// ---- backward ------------------------------------------------------------------------------------------------------

// A task is a key head and all query heads that share it, so dk and dv are summed by one thread.  All of out, lse, grad
// and the three results are dense.
template <typename T, typename Real>
void backward(const Shape &s, const int32_t *starts, const T *q, const T *k, const T *v, const Real *slopes, const T *out,
              const Real *lse, const T *grad, T *grad_q, T *grad_k, T *grad_v) {
    const int K = s.K, W = lanes<Real>, group = s.H / s.G;
    long longest = 0;
    for (long b = 0; b < s.sequences; ++b)
        if (starts[b + 1] - starts[b] > longest) longest = starts[b + 1] - starts[b];
    const long size = (longest + BLOCK - 1) / BLOCK * BLOCK * K;
    #pragma omp parallel num_threads(s.threads)
    {
        Real *keys = room<Real>(5 * size + 2 * BLOCK * BLOCK + 3 * BLOCK * K), *keys_transposed = keys + size;
        Real *values_transposed = keys_transposed + size, *sum_k = values_transposed + size, *sum_v = sum_k + size;
        Real *p = sum_v + size, *ds = p + BLOCK * BLOCK, *query = ds + BLOCK * BLOCK, *go = query + BLOCK * K, *sum_q = go + BLOCK * K;
        #pragma omp for collapse(2) schedule(dynamic)
        for (long b = 0; b < s.sequences; ++b)
            for (long g = 0; g < s.G; ++g) {
                const int first = starts[b], length = starts[b + 1] - first;
                for (int j = 0; j < length; j += BLOCK) {
                    const int rows = length - j < BLOCK ? length - j : BLOCK;
                    const T *from_k = k + (first + j) * s.k_token + g * s.k_head, *from_v = v + (first + j) * s.v_token + g * s.v_head;
                    copy(from_k, s.k_token, rows, K, (Real)1, keys + (long)j * K);
                    copy_transposed(from_k, s.k_token, rows, K, keys_transposed + (long)j * K);
                    copy_transposed(from_v, s.v_token, rows, K, values_transposed + (long)j * K);
                }
                std::memset(sum_k, 0, 2 * size * sizeof(Real));
                for (long h = g * group; h < (g + 1) * group; ++h)
                    for (int i = 0; i < length; i += BLOCK) {
                        const int queries = length - i < BLOCK ? length - i : BLOCK;
                        const long at = (long)(first + i) * s.H + h;
                        copy(q + (first + i) * s.q_token + h * s.q_head, s.q_token, queries, K, (Real)s.scale, query);
                        copy(grad + at * K, s.H * K, queries, K, (Real)1, go);
                        Real go_dot_o[BLOCK];
                        for (int r = 0; r < queries; ++r) {
                            Vec<Real> dot{};
                            for (int d = 0; d < K; d += W) dot += load(go + r * K + d) * load(out + (at + r * s.H) * K + d);
                            go_dot_o[r] = sum<Real>(dot);
                        }
                        std::memset(sum_q, 0, BLOCK * K * sizeof(Real));
                        for (int j = first_block(i, s.window); j < i + queries; j += BLOCK) {
                            const Tile t = tile<Real>(i, j, length, s.window);
                            const long tile_k = (long)j * K;
                            const Part c = i == j ? LOWER_C : ALL, lower = i == j ? LOWER_A : ALL, upper = i == j ? UPPER_A : ALL;
                            multiply(false, c, queries, t.columns, K, query, K, 1, keys_transposed + tile_k, BLOCK, p, BLOCK);
                            multiply(false, c, queries, t.columns, K, go, K, 1, values_transposed + tile_k, BLOCK, ds, BLOCK);
                            for (int r = 0; r < queries; ++r)
                                for (int c = 0; c < t.columns; c += W) {
                                    Real *pp = p + r * BLOCK + c, *dd = ds + r * BLOCK + c;
                                    store(pp, exp(biased(t, r, c, load(pp), slopes ? slopes[h] : (Real)0) - lse[at + r * s.H]));
                                    store(dd, load(pp) * (load(dd) - go_dot_o[r]));
                                }
                            multiply(true, upper, t.keys, K, queries, p, 1, BLOCK, go, K, sum_v + tile_k, K);
                            multiply(true, upper, t.keys, K, queries, ds, 1, BLOCK, query, K, sum_k + tile_k, K);
                            multiply(true, lower, queries, K, t.keys, ds, BLOCK, 1, keys + tile_k, K, sum_q, K);
                        }
                        for (int r = 0; r < queries; ++r)
                            for (int d = 0; d < K; d += W)
                                store(grad_q + (at + r * s.H) * K + d, load(sum_q + r * K + d) * (Real)s.scale);
                    }
                for (int j = 0; j < length; ++j)
                    for (int d = 0; d < K; d += W) {
                        store(grad_k + ((first + j) * s.G + g) * K + d, load(sum_k + (long)j * K + d));
                        store(grad_v + ((first + j) * s.G + g) * K + d, load(sum_v + (long)j * K + d));
                    }
            }
        std::free(keys);
    }
}

// ---- decoding ------------------------------------------------------------------------------------------------------

// One query a row and head, q and out dense (B, H, K), against the first lengths[b] keys of that row's cache.  The cache is
// read once; all heads of a group take some keys while they are at hand, and no sum waits for the one before it.
constexpr int AT_ONCE = 4;                      // no more than the numbers of a vector

template <typename Real> struct Some { const Real *first; long step; };

// AT_ONCE rows as Real, beyond `rows` zeros: where they lie if they can be read there, else copied to `tile`.
template <typename T, typename Real> Some<Real> some(const T *from, long step, long rows, int K, Real *tile) {
    if constexpr (sizeof(T) == sizeof(Real))
        if (rows >= AT_ONCE) return {from, step};
    copy(from, step, rows < AT_ONCE ? rows : AT_ONCE, K, (Real)1, tile);
    for (long r = rows; r < AT_ONCE; ++r) std::memset(tile + r * K, 0, K * sizeof(Real));
    return {tile, K};
}

template <typename T, typename Real>
void decode(const Shape &s, const int64_t *lengths, const T *q, const T *k, const T *v, const Real *slopes, T *out) {
    const int K = s.K, W = lanes<Real>, group = s.H / s.G;
    long longest = 0;
    for (long b = 0; b < s.sequences; ++b) longest = lengths[b] > longest ? lengths[b] : longest;
    longest = (longest + 2 * W - 1) / W * W;
    #pragma omp parallel num_threads(s.threads)
    {
        Real *scores = room<Real>(group * (longest + 2 * K + 1) + AT_ONCE * K), *query = scores + group * longest;
        Real *sum_o = query + group * K, *tile = sum_o + group * K, *share = tile + AT_ONCE * K;
        #pragma omp for collapse(2) schedule(dynamic)
        for (long b = 0; b < s.sequences; ++b)
            for (long g = 0; g < s.G; ++g) {
                const long length = lengths[b], first = first_key(length - 1, s.window), h = g * group;
                const T *keys = k + b * s.k_row + g * s.k_head, *values = v + b * s.v_row + g * s.v_head;
                copy(q + (b * s.H + h) * K, K, group, K, (Real)s.scale, query);
                for (long j = first; j < length; j += AT_ONCE) {
                    const Some<Real> key_rows = some(keys + j * s.k_token, s.k_token, length - j, K, tile);
                    for (int n = 0; n < group; ++n) {
                        Vec<Real> dot[AT_ONCE] = {};
                        for (int d = 0; d < K; d += W)
                            for (int r = 0; r < AT_ONCE; ++r) dot[r] += load(query + n * K + d) * load(key_rows.first + r * key_rows.step + d);
                        for (int r = 0; r < AT_ONCE; ++r)                        // beyond the last key: not looked at
                            scores[n * longest + j + r] = sum<Real>(dot[r]) + (slopes ? slopes[h + n] : (Real)0) * (j + r - length + 1);
                    }
                }
                for (int n = 0; n < group; ++n) {
                    Real *row = scores + n * longest;                            // in whole vectors, with p = 0 around
                    const long begin = first / W * W;
                    const Vec<Real> unseen = Vec<Real>{} - (Real)INFINITY;
                    for (long j = begin; j < first; ++j) row[j] = -INFINITY;
                    store(row + length, unseen);
                    Vec<Real> most = unseen, total{};
                    for (long j = begin; j < length; j += W) most = load(row + j) > most ? load(row + j) : most;
                    const Real base = largest<Real>(most);
                    for (long j = begin; j < length; j += W) {
                        store(row + j, exp(load(row + j) - base));
                        total += load(row + j);
                    }
                    store(row + length, Vec<Real>{});
                    share[n] = 1 / sum<Real>(total);
                }
                std::memset(sum_o, 0, group * K * sizeof(Real));
                for (long j = first; j < length; j += AT_ONCE) {
                    const Some<Real> value_rows = some(values + j * s.v_token, s.v_token, length - j, K, tile);
                    for (int n = 0; n < group; ++n) {
                        Real p[AT_ONCE];
                        for (int r = 0; r < AT_ONCE; ++r) p[r] = scores[n * longest + j + r];
                        for (int d = 0; d < K; d += W) {
                            Vec<Real> o = load(sum_o + n * K + d);
                            for (int r = 0; r < AT_ONCE; ++r) o += p[r] * load(value_rows.first + r * value_rows.step + d);
                            store(sum_o + n * K + d, o);
                        }
                    }
                }
                for (int n = 0; n < group; ++n)
                    for (int d = 0; d < K; d += W)
                        store(out + (b * s.H + h + n) * K + d, load(sum_o + n * K + d) * share[n]);
            }
        std::free(scores);
    }
}

#define EXPORT(NAME, T, Real)                                                                                             \
    extern "C" void forward_##NAME(const Shape *s, const int32_t *starts, const T *q, const T *k, const T *v,             \
                                   const Real *slopes, T *out, Real *lse) {                                               \
        forward(*s, starts, q, k, v, slopes, out, lse);                                                                   \
    }                                                                                                                     \
    extern "C" void backward_##NAME(const Shape *s, const int32_t *starts, const T *q, const T *k, const T *v,            \
                                    const Real *slopes, const T *out, const Real *lse, const T *grad, T *dq, T *dk, T *dv) { \
        backward(*s, starts, q, k, v, slopes, out, lse, grad, dq, dk, dv);                                                \
    }                                                                                                                     \
    extern "C" void decode_##NAME(const Shape *s, const int64_t *lengths, const T *q, const T *k, const T *v,             \
                                  const Real *slopes, T *out) {                                                           \
        decode(*s, lengths, q, k, v, slopes, out);                                                                        \
    }
EXPORT(float32, float, float)
EXPORT(bfloat16, bfloat16, float)
EXPORT(float64, double, double)
