// AVX-512 with VNNI, BW, DQ and VL: 64, 32 and 16 channels at a time.
#include "table.hpp"
#include "x86.hpp"

#if defined(__clang__) || defined(KERNELS_EMULATED)
#define DPBUSD(P, acc, x, w) acc = P##_dpbusd_epi32(acc, x, w)
#else  // GCC 12 copies the accumulators around the intrinsic
#define DPBUSD(P, acc, x, w) asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "vm"(w))
#endif
#define DPBUSD_512(acc, x, w) DPBUSD(_mm512, acc, x, w)
#define DPBUSD_256(acc, x, w) DPBUSD(_mm256, acc, x, w)
#define DPBUSD_128(acc, x, w) DPBUSD(_mm, acc, x, w)

namespace kernels {
namespace {

struct V512 {
    X86_VECTOR(__m512i, _mm512, 512)
    X86_SHIFT16(_mm512)
    X86_DOT(DPBUSD_512)
    static constexpr int DEPTHWISE_PIXELS = 4;
    using Table = ShuffledTable<V512>;
    INLINE t everywhere(__m128i v) { return _mm512_broadcast_i32x4(v); }
    INLINE void store_some(void *p, t v, int n) { _mm512_mask_storeu_epi8(p, n >= 64 ? ~0ull : (1ull << n) - 1, v); }
    INLINE t in_order(t q) {
        return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), q);
    }
    INLINE void first_half(uint8_t *p, t q) { _mm256_storeu_si256((__m256i *)p, _mm512_castsi512_si256(q)); }
    template <int N> INLINE void store_part(uint8_t *p, t q) {
        if constexpr (N == 4) store(p, q);
        else if constexpr (N == 1) _mm_storeu_si128((__m128i *)p, _mm512_castsi512_si128(q));
        else first_half(p, q);
        if constexpr (N == 3) _mm_storeu_si128((__m128i *)(p + 32), _mm512_extracti32x4_epi32(q, 2));
    }
    INLINE void store_quarters(uint8_t *const *p, t q) {
        _mm_storeu_si128((__m128i *)p[0], _mm512_castsi512_si128(q));
        _mm_storeu_si128((__m128i *)p[1], _mm512_extracti32x4_epi32(q, 1));
        _mm_storeu_si128((__m128i *)p[2], _mm512_extracti32x4_epi32(q, 2));
        _mm_storeu_si128((__m128i *)p[3], _mm512_extracti32x4_epi32(q, 3));
    }
    INLINE void store_halves(uint8_t *const *p, t q) {
        first_half(p[0], q);
        _mm256_storeu_si256((__m256i *)p[1], _mm512_extracti64x4_epi64(q, 1));
    }
    INLINE void tiles(const Op &op, const Dense &d, const Block &b, uint8_t *arena, int p0, int p1) {
#define TILE(N, M) case N * 16 + M: any_strip<V512, M, N>(op, d, b, arena, p0, p1); break;
        switch (b.vectors * 16 + b.pixels) {
            TILE(4, 1) TILE(4, 4) TILE(4, 5) TILE(4, 6) TILE(3, 1) TILE(3, 4) TILE(3, 7) TILE(3, 8)
            TILE(2, 1) TILE(2, 4) TILE(2, 8) TILE(1, 1) TILE(1, 4) TILE(1, 8)
        }
    }
};
struct V256 {
    X86_VECTOR(__m256i, _mm256, 256)
    X86_SHIFT16(_mm256)
    X86_DOT(DPBUSD_256)
    X86_STORES_256
    static constexpr int DEPTHWISE_PIXELS = 4;
};
struct V128 {
    X86_VECTOR(__m128i, _mm, 128)
    X86_SHIFT16(_mm)
    X86_DOT(DPBUSD_128)
    X86_STORES_128
    static constexpr int DEPTHWISE_PIXELS = 4;
};

void look_up(const Op &op, uint8_t *arena, int part, int parts) {
    static const bool vbmi = machine_has_vbmi();
    (vbmi ? run_lut_vbmi : run_lut<V512>)(op, arena, part, parts);
}

int best_tile(int vectors, int pixels) {
    static const int sizes[5][3] = {{}, {8, 4}, {8, 4}, {8, 7, 4}, {6, 5, 4}};
    if (pixels < 4) return 1;
    int best = 4;
    int64_t least = INT64_MAX;
    for (int m : sizes[vectors])
        if (m) {  // dot products, loads of weights and of pixels
            const int64_t cost = int64_t((pixels + m - 1) / m) * (m * vectors + m / 2 + vectors);
            if (cost < least) best = m, least = cost;
        }
    return best;
}

}  // namespace

const InstructionSet set_vnni = {"vnni", 16, true, false, false, best_tile, KERNEL_TABLE(V512, V512, V256, V128, V128, look_up)};

}  // namespace kernels
