// AVX2: byte products in pairs. Built a second time with AVX-VNNI, which has the dot product of four
// bytes in vectors of 256 bits, and no AVX-512.
#include "table.hpp"
#include "x86.hpp"

#ifdef __AVXVNNI__
#if defined(__clang__) || defined(KERNELS_EMULATED)
#define DPBUSD(P, acc, x, w) acc = P##_dpbusd_avx_epi32(acc, x, w)
#else
#define DPBUSD(P, acc, x, w) asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "xm"(w))
#endif
#define DPBUSD_256(acc, x, w) DPBUSD(_mm256, acc, x, w)
#define DPBUSD_128(acc, x, w) DPBUSD(_mm, acc, x, w)
#define PRODUCTS_256 X86_DOT(DPBUSD_256)
#define PRODUCTS_128 X86_DOT(DPBUSD_128)
#else
#define PRODUCTS_256 X86_PAIRS(_mm256)
#define PRODUCTS_128 X86_PAIRS(_mm)
#endif

namespace kernels {
namespace {

struct V256 {
    X86_VECTOR(__m256i, _mm256, 256)
    X86_MULTIPLY16(_mm256)
    PRODUCTS_256
    X86_STORES_256
    static constexpr int DEPTHWISE_PIXELS = 2;
    using Table = ShuffledTable<V256>;
    INLINE void tiles(const Op &op, const Dense &d, const Block &b, uint8_t *arena, int p0, int p1) {
        if (b.pixels == 4) any_strip<V256, 4, 2>(op, d, b, arena, p0, p1);
        else any_strip<V256, 1, 2>(op, d, b, arena, p0, p1);
    }
};
struct V128 {
    X86_VECTOR(__m128i, _mm, 128)
    X86_MULTIPLY16(_mm)
    PRODUCTS_128
    X86_STORES_128
    static constexpr int DEPTHWISE_PIXELS = 2;
};

int best_tile(int, int pixels) { return pixels < 4 ? 1 : 4; }

}  // namespace

#ifdef __AVXVNNI__
const InstructionSet set_avxvnni = {"avxvnni", 8, false, false, false, best_tile, KERNEL_TABLE(V256, V256, V256, V128, V128, run_lut<V256>)};
#else
const InstructionSet set_avx2 = {"avx2", 8, false, true, true, best_tile, KERNEL_TABLE(V256, V256, V256, V128, V128, run_lut<V256>)};
#endif

}  // namespace kernels
