// Runs cuda.cu on a CPU, thread by thread, as unkindly as the hardware is allowed to.  (Not here: speed, bank conflicts.)
//
// Each thread of a block is a fiber with a stack of its own, and runs until it has to wait: for its warp, where 32 lanes do
// something together, or for its block.  Of the threads that may go on the first of a random order does, so that one
// warp runs as far ahead of the others as barriers let it.  A copy to shared memory happens, by chance, at once or when it is
// waited for, and no sooner: what is read too early is not there yet, and what is copied too early destroys what is read.
// Shared memory begins as NaN.  What may not be is an error: an address outside, or not in line; lanes of a warp in
// different places; waiting for what never comes.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define SIMULATED
#define __device__ inline
#define __global__
#define __launch_bounds__(threads)
#define threadIdx (current->index)

struct Place { int x, y, z; };
struct T;
struct Copy { void *to; const void *from; int bytes; bool real; };
enum State { READY, WITH_WARP, WITH_BLOCK, DONE };

struct Lane {
    Place index;
    State state;
    const char *where;                                           // what the warp does together,
    void *to; const void *from; uint32_t words[2];               // and this lane's part in it
    std::vector<Copy> copies;                                    // under way
    ucontext_t context;
    std::vector<char> stack;
};

static std::vector<Lane> lanes;
static Lane *current;
static ucontext_t scheduler;
static Place blockIdx, gridDim;
static std::mt19937 chance;
static std::vector<char> memory;
static std::string error;

static void fail(const std::string &message) {                   // this fiber is never resumed
    if (error.empty()) error = message;
    swapcontext(&current->context, &scheduler);
}
static void pause(State state) {
    current->state = state;
    swapcontext(&current->context, &scheduler);
}

// ---- what the hardware does --------------------------------------------------------------------------------------------

// All 32 lanes of a warp come here; the last to come does the work of all.
template <class Act> void together(const char *where, void *to, const void *from, uint32_t a, uint32_t b, Act act) {
    Lane *warp = &lanes[current->index.x / 32 * 32];
    current->where = where, current->to = to, current->from = from, current->words[0] = a, current->words[1] = b;
    for (int n = 0; n < 32; ++n)
        if (warp + n != current && warp[n].state != WITH_WARP) return pause(WITH_WARP);
    for (int n = 0; n < 32; ++n)
        if (std::strcmp(warp[n].where, where)) fail(std::string("a warp is divided: ") + where + ", " + warp[n].where);
    act(warp);
    for (int n = 0; n < 32; ++n) warp[n].state = READY;
}
static void __syncwarp() { together("__syncwarp", 0, 0, 0, 0, [](Lane *) {}); }
static void __syncthreads() {
    for (Lane &lane : lanes)
        if (&lane != current && lane.state != WITH_BLOCK) return pause(WITH_BLOCK);
    for (Lane &lane : lanes) lane.state = READY;
}

static T *shared_memory() { return (T *)memory.data(); }
static void check(const void *shared, int bytes, int align) {
    const char *at = (const char *)shared;
    if (at < memory.data() || at + bytes > memory.data() + memory.size()) fail("outside of shared memory");
    if ((at - memory.data()) % align) fail("shared memory is not in line");
}

static void carry_out(const Copy &copy) { copy.real ? std::memcpy(copy.to, copy.from, copy.bytes) : std::memset(copy.to, 0, copy.bytes); }
static void start(Copy copy) {
    check(copy.to, copy.bytes, copy.bytes);
    if ((uintptr_t)copy.from % copy.bytes) fail("global memory is not in line");
    chance() % 2 ? carry_out(copy) : current->copies.push_back(copy);
}
static void copy16(void *to, const void *from, bool real) { start({to, from, 16, real}); }
static void copy4(void *to, const void *from, bool real) { start({to, from, 4, real}); }
static void wait() {
    for (const Copy &copy : current->copies) carry_out(copy);
    current->copies.clear();
}

static void matrices(unsigned (&x)[4], const T *row, bool transposed) {
    check(row, 16, 16);
    together(transposed ? "load_transposed" : "load", x, row, 0, 0, [=](Lane *warp) {
        for (int m = 0; m < 4; ++m)
            for (int n = 0; n < 32; ++n)
                for (int e = 0; e < 2; ++e) {
                    const int r = transposed ? n % 4 * 2 + e : n / 4, c = transposed ? n / 4 : n % 4 * 2 + e;
                    ((uint16_t *)warp[n].to)[2 * m + e] = ((const uint16_t *)warp[8 * m + r].from)[c];
                }
    });
}
static void load(unsigned (&x)[4], const T *row) { matrices(x, row, false); }
static void load_transposed(unsigned (&x)[4], const T *row) { matrices(x, row, true); }

static float wide(uint16_t bits) {
#ifdef FLOAT16
    _Float16 x;
    std::memcpy(&x, &bits, 2);
    return x;
#else
    const uint32_t word = (uint32_t)bits << 16;
    float x;
    std::memcpy(&x, &word, 4);
    return x;
#endif
}
static uint16_t narrow(float x) {
    uint16_t bits;
#ifdef FLOAT16
    const _Float16 rounded = x;
    std::memcpy(&bits, &rounded, 2);
#else
    uint32_t word;
    std::memcpy(&word, &x, 4);
    bits = x == x ? (word + 0x7fff + (word >> 16 & 1)) >> 16 : 0x7fff;
#endif
    return bits;
}
static unsigned pack(float low, float high) { return narrow(low) | (unsigned)narrow(high) << 16; }

static void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    together("multiply_add", c, a, b0, b1, [](Lane *warp) {
        float A[16][16], B[16][8];
        for (int n = 0; n < 32; ++n)
            for (int e = 0; e < 8; ++e) {                        // numbers 2 w + e % 2 of word w
                const uint16_t half = ((const uint32_t *)warp[n].from)[e / 2] >> 16 * (e % 2);
                A[n / 4 + e / 2 % 2 * 8][n % 4 * 2 + e % 2 + e / 4 * 8] = wide(half);
                if (e < 4) B[n % 4 * 2 + e % 2 + e / 2 * 8][n / 4] = wide(warp[n].words[e / 2] >> 16 * (e % 2));
            }
        for (int n = 0; n < 32; ++n)
            for (int e = 0; e < 4; ++e)
                for (int d = 0; d < 16; ++d) ((float *)warp[n].to)[e] += A[n / 4 + e / 2 * 8][d] * B[d][n % 4 * 2 + e % 2];
    });
}
static float of_lane(float x, int lane) {
    float result;
    together("of_lane", &result, &x, lane, 0, [](Lane *warp) {
        for (int n = 0; n < 32; ++n) *(float *)warp[n].to = *(const float *)warp[warp[n].words[0]].from;
    });
    return result;
}
static float exp2_(float x) { return x < -126 ? 0 : std::exp2(x); }
static float log2_(float x) { return std::log2(x); }
static float widen(const T &x) { return wide((const uint16_t &)x); }

#include KERNELS

// ---- launching ---------------------------------------------------------------------------------------------------------

static void (*body)(void **);
static void **arguments;
static void run() {
    body(arguments);
    if (!current->copies.empty()) fail("a thread ends while its copies are under way");
    current->state = DONE;
    swapcontext(&current->context, &scheduler);
}

template <auto kernel, class... A, size_t... n> void call(void (*)(A...), void **from, std::index_sequence<n...>) {
    kernel(*(std::remove_reference_t<A> *)from[n]...);
}
template <auto kernel> void with(void **from) {
    [&]<class... A>(void (*typed)(A...)) { call<kernel>(typed, from, std::index_sequence_for<A...>{}); }(kernel);
}

static void run_block(int threads, size_t shared) {
    memory.assign(shared, (char)0xff);
    lanes.resize(threads);
    std::vector<int> order(threads), warps(threads / 32);
    std::iota(warps.begin(), warps.end(), 0);
    std::shuffle(warps.begin(), warps.end(), chance);
    for (int t = 0; t < threads; ++t) order[t] = warps[t / 32] * 32 + t % 32;
    for (int t = 0; t < threads; ++t) {
        Lane &lane = lanes[t];
        lane.index = {t, 0, 0}, lane.state = READY, lane.copies.clear();
        lane.stack.resize(1 << 16);
        getcontext(&lane.context);
        lane.context.uc_stack.ss_sp = lane.stack.data(), lane.context.uc_stack.ss_size = lane.stack.size();
        makecontext(&lane.context, run, 0);
    }
    for (bool going = true; going && error.empty();) {
        going = false;
        for (int t : order)
            if (lanes[t].state == READY) {
                going = true, current = &lanes[t];
                swapcontext(&scheduler, &current->context);
                break;
            }
    }
    for (Lane &lane : lanes)
        if (error.empty() && lane.state != DONE) error = "threads wait for what never comes";
}

// A launch, arguments as cuLaunchKernel has them.  "" or what went wrong.
extern "C" const char *simulate(const char *name, const int *grid, int threads, int64_t shared, void **from, unsigned seed) {
    const std::tuple<const char *, void (*)(void **)> kernels[] = {
        {"forward", with<forward>}, {"backward_queries", with<backward_queries>}, {"backward_keys", with<backward_keys>},
        {"decode", with<decode>}, {"combine", with<combine>}};
    for (auto &[known, start] : kernels)
        if (!std::strcmp(known, name)) body = start;
    arguments = from, gridDim = {grid[0], grid[1], grid[2]}, error.clear(), chance.seed(seed);
    for (int z = 0; z < grid[2]; ++z)
        for (int y = 0; y < grid[1]; ++y)
            for (int x = 0; x < grid[0] && error.empty(); ++x) {
                blockIdx = {x, y, z};
                run_block(threads, shared);
            }
    return error.c_str();
}
