// aarch64: signed bytes throughout; built twice, with and without the dot product instruction.
#include <arm_neon.h>
#include "table.hpp"

namespace kernels {
namespace {

#define S16(v) vreinterpretq_s16_s8(v)
#define S32(v) vreinterpretq_s32_s8(v)
#define B16(v) vreinterpretq_s8_s16(v)
#define B32(v) vreinterpretq_s8_s32(v)
#define U8(v) vreinterpretq_u8_s8(v)

struct V128 {
    using t = int8x16_t;
    static constexpr int L = 4, DEPTHWISE_PIXELS = 4;
    static constexpr bool SIGNED_DOT = true;
    INLINE t zero() { return vdupq_n_s8(0); }
    INLINE t load(const void *p) { return vld1q_s8((const int8_t *)p); }
    INLINE void store(void *p, t v) { vst1q_s8((int8_t *)p, v); }
    INLINE void store_some(void *p, t v, int n) {
        if (n >= 16) { store(p, v); return; }
        int8_t bytes[16];
        store(bytes, v);
        __builtin_memcpy(p, bytes, n);
    }
    INLINE t set8(int v) { return vdupq_n_s8(int8_t(v)); }
    INLINE t set16(int v) { return B16(vdupq_n_s16(int16_t(v))); }
    INLINE t set32(int v) { return B32(vdupq_n_s32(v)); }
    INLINE t xor_(t a, t b) { return veorq_s8(a, b); }
    INLINE t not_(t a) { return vmvnq_s8(a); }
    INLINE t add32(t a, t b) { return B32(vaddq_s32(S32(a), S32(b))); }
    INLINE t right32(t a, t n) { return B32(vshlq_s32(S32(a), vnegq_s32(S32(n)))); }
    INLINE t right32_all(t a, int n) { return B32(vshlq_s32(S32(a), vdupq_n_s32(-n))); }
    INLINE t right16(t a, int n) { return B16(vshlq_s16(S16(a), vdupq_n_s16(int16_t(-n)))); }
    INLINE t left16(t a, t n) { return B16(vshlq_s16(S16(a), S16(n))); }
    INLINE t plain_out16(t a, t u) { return B16(vshlq_s16(S16(a), vnegq_s16(S16(u)))); }
    template <bool> INLINE t out16(t a, const int16_t *u, const int16_t *) { return plain_out16(a, load(u)); }
    INLINE t add16(t a, t b) { return B16(vaddq_s16(S16(a), S16(b))); }
    INLINE t adds16(t a, t b) { return B16(vqaddq_s16(S16(a), S16(b))); }
    INLINE t low16(t a, t b) { return B16(vmulq_s16(S16(a), S16(b))); }
    INLINE t mulhi16(t a, t b) {
        const int32x4_t low = vmull_s16(vget_low_s16(S16(a)), vget_low_s16(S16(b))), high = vmull_high_s16(S16(a), S16(b));
        return B16(vuzp2q_s16(vreinterpretq_s16_s32(low), vreinterpretq_s16_s32(high)));
    }
    INLINE t pairs16(t a, t b) {
        return B32(vpaddq_s32(vmull_s16(vget_low_s16(S16(a)), vget_low_s16(S16(b))), vmull_high_s16(S16(a), S16(b))));
    }
    INLINE t pairs8(t a, t b) { return B16(vpaddq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)), vmull_high_s8(a, b))); }
    INLINE t packs32(t a, t b) { return B16(vcombine_s16(vqmovn_s32(S32(a)), vqmovn_s32(S32(b)))); }
    INLINE t packs16(t a, t b) { return vcombine_s8(vqmovn_s16(S16(a)), vqmovn_s16(S16(b))); }
    INLINE t min16(t a, t b) { return B16(vminq_s16(S16(a), S16(b))); }
    INLINE t max16(t a, t b) { return B16(vmaxq_s16(S16(a), S16(b))); }
    INLINE t min8(t a, t b) { return vminq_s8(a, b); }
    INLINE t max8(t a, t b) { return vmaxq_s8(a, b); }
    INLINE t maxu8(t a, t b) { return vreinterpretq_s8_u8(vmaxq_u8(U8(a), U8(b))); }
    INLINE t lo8(t a, t b) { return vzip1q_s8(a, b); }
    INLINE t hi8(t a, t b) { return vzip2q_s8(a, b); }
    INLINE t lo16(t a, t b) { return B16(vzip1q_s16(S16(a), S16(b))); }
    INLINE t hi16(t a, t b) { return B16(vzip2q_s16(S16(a), S16(b))); }
    INLINE t lo64(t a, t b) { return vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b))); }
    INLINE t transpose4(t q) {
        static const uint8_t order[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
        return vqtbl1q_s8(q, vld1q_u8(order));
    }
    template <bool SIGNED> INLINE t ready(t x) { return SIGNED ? xor_(x, set8(0x80)) : x; }
    template <bool SIGNED> INLINE t spread(const uint8_t *p) {
        int32_t v;
        __builtin_memcpy(&v, p, 4);
        return ready<SIGNED>(set32(v));
    }
    template <bool> INLINE t dot(t acc, t x, t w) {
#ifdef __ARM_FEATURE_DOTPROD
        return B32(vdotq_s32(S32(acc), x, w));
#else
        return B32(vpadalq_s16(S32(acc), S16(pairs8(x, w))));
#endif
    }
    template <bool SIGNED> INLINE t step(t acc, t x, t w) { return dot<SIGNED>(acc, x, w); }
    INLINE t in_order(t q) { return q; }
    template <int> INLINE void store_part(uint8_t *p, t q) { store(p, q); }
    INLINE void store_quarters(uint8_t *const *, t) {}
    INLINE void store_halves(uint8_t *const *, t) {}
    struct Table {
        uint8x16x4_t part[4];
        explicit Table(const uint8_t *bytes) {
            for (int i = 0; i < 4; i++) part[i] = vld1q_u8_x4(bytes + 64 * i);
        }
        t at(t x) const {  // indices from 64 upwards leave what is there
            uint8x16_t found = vqtbl4q_u8(part[0], U8(x));
            for (int i = 1; i < 4; i++) found = vqtbx4q_u8(found, part[i], vsubq_u8(U8(x), vdupq_n_u8(uint8_t(64 * i))));
            return vreinterpretq_s8_u8(found);
        }
    };
    INLINE void tiles(const Op &op, const Dense &d, const Block &b, uint8_t *arena, int p0, int p1) {
        if (b.pixels == 4) any_strip<V128, 4, 4>(op, d, b, arena, p0, p1);
        else any_strip<V128, 1, 4>(op, d, b, arena, p0, p1);
    }
};

int best_tile(int, int pixels) { return pixels < 4 ? 1 : 4; }

}  // namespace

#ifdef __ARM_FEATURE_DOTPROD
const InstructionSet set_dot = {"dot", 4, true, true, false, best_tile, KERNEL_TABLE(V128, V128, V128, V128, V128, run_lut<V128>)};
#else
const InstructionSet set_neon = {"neon", 4, true, true, false, best_tile, KERNEL_TABLE(V128, V128, V128, V128, V128, run_lut<V128>)};
#endif

}  // namespace kernels
