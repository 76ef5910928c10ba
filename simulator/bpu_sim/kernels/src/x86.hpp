// Vectors of x86: what AVX-512 VNNI, AVX-VNNI and AVX2 have in common, and the two ways to do what
// they do differently. T: type, P: prefix of its intrinsics, S: bits.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#define X86_VECTOR(T, P, S)                                                                   \
    using t = T;                                                                              \
    static constexpr int L = S / 32;                                                          \
    INLINE t zero() { return P##_setzero_si##S(); }                                           \
    INLINE t load(const void *p) { return P##_loadu_si##S((const t *)p); }                    \
    INLINE void store(void *p, t v) { P##_storeu_si##S((t *)p, v); }                          \
    INLINE t set8(int v) { return P##_set1_epi8(char(v)); }                                   \
    INLINE t set16(int v) { return P##_set1_epi16(short(v)); }                                \
    INLINE t set32(int v) { return P##_set1_epi32(v); }                                       \
    INLINE t xor_(t a, t b) { return P##_xor_si##S(a, b); }                                   \
    INLINE t not_(t a) { return xor_(a, set8(-1)); }                                          \
    INLINE t add32(t a, t b) { return P##_add_epi32(a, b); }                                  \
    INLINE t right32(t a, t n) { return P##_srav_epi32(a, n); }                               \
    INLINE t right32_all(t a, int n) { return P##_sra_epi32(a, _mm_cvtsi32_si128(n)); }       \
    INLINE t right16(t a, int n) { return P##_sra_epi16(a, _mm_cvtsi32_si128(n)); }           \
    INLINE t add16(t a, t b) { return P##_add_epi16(a, b); }                                  \
    INLINE t adds16(t a, t b) { return P##_adds_epi16(a, b); }                                \
    INLINE t low16(t a, t b) { return P##_mullo_epi16(a, b); }                                \
    INLINE t mulhi16(t a, t b) { return P##_mulhi_epi16(a, b); }                              \
    INLINE t pairs16(t a, t b) { return P##_madd_epi16(a, b); }                               \
    INLINE t pairs8(t u, t s) { return P##_maddubs_epi16(u, s); }                             \
    INLINE t packs32(t a, t b) { return P##_packs_epi32(a, b); }                              \
    INLINE t packs16(t a, t b) { return P##_packs_epi16(a, b); }                              \
    INLINE t min16(t a, t b) { return P##_min_epi16(a, b); }                                  \
    INLINE t max16(t a, t b) { return P##_max_epi16(a, b); }                                  \
    INLINE t min8(t a, t b) { return P##_min_epi8(a, b); }                                    \
    INLINE t max8(t a, t b) { return P##_max_epi8(a, b); }                                    \
    INLINE t maxu8(t a, t b) { return P##_max_epu8(a, b); }                                   \
    INLINE t lo8(t a, t b) { return P##_unpacklo_epi8(a, b); }                                \
    INLINE t hi8(t a, t b) { return P##_unpackhi_epi8(a, b); }                                \
    INLINE t lo16(t a, t b) { return P##_unpacklo_epi16(a, b); }                              \
    INLINE t hi16(t a, t b) { return P##_unpackhi_epi16(a, b); }                              \
    INLINE t lo64(t a, t b) { return P##_unpacklo_epi64(a, b); }                              \
    INLINE t words(const uint8_t *p) { int32_t v; __builtin_memcpy(&v, p, 4); return set32(v); } \
    INLINE t shuffle8(t table, t index) { return P##_shuffle_epi8(table, index); }            \
    INLINE t minus8s(t a, t b) { return P##_subs_epi8(a, b); }                                \
    INLINE t within(t q, __m128i order) { return P##_shuffle_epi8(q, everywhere(order)); }    \
    INLINE t transpose4(t q) { return within(q, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)); }

// Variable shifts of 16 bits (AVX-512).
#define X86_SHIFT16(P)                                                                        \
    INLINE t left16(t a, t n) { return P##_sllv_epi16(a, n); }                                \
    INLINE t plain_out16(t a, t u) { return P##_srav_epi16(a, u); }                           \
    template <bool GENERAL> INLINE t out16(t a, const int16_t *u, const int16_t *) { return plain_out16(a, load(u)); }

// Without them: products with powers of two; u = 0 and 1 need 2^16 and 2^15, which int16 has not.
#define X86_MULTIPLY16(P)                                                                     \
    INLINE t left16(t a, t power) { return P##_mullo_epi16(a, power); }                       \
    INLINE t plain_out16(t a, t power) { return P##_mulhi_epi16(a, power); }                  \
    template <bool GENERAL> INLINE t out16(t a, const int16_t *power, const int16_t *fix) {   \
        const t r = plain_out16(a, load(power));                                              \
        if constexpr (!GENERAL) return r;                                                     \
        const t u = load(fix), kept = P##_blendv_epi8(r, a, P##_cmpeq_epi16(u, set16(0)));    \
        return P##_blendv_epi8(kept, P##_srai_epi16(a, 1), P##_cmpeq_epi16(u, set16(1)));     \
    }

// Unsigned times signed bytes, four at a time, into 32 bits.
#define X86_DOT(DPBUSD)                                                                       \
    static constexpr bool SIGNED_DOT = false;                                                 \
    template <bool> INLINE t spread(const uint8_t *p) { return words(p); }                    \
    template <bool> INLINE t ready(t x) { return x; }                                         \
    template <bool> INLINE t dot(t acc, t x, t w) { DPBUSD(acc, x, w); return acc; }          \
    template <bool> INLINE t step(t acc, t x, t w) { return dot<false>(acc, x, w); }

// Pairs of bytes in 16 bits, exact: unsigned bytes are at most 127 (zero 0); signed ones become
// |x| <= 128 times sign(x) * w, so a pair is at most 2 * 128 * 127 < 2^15. Dense convolutions of
// signed codes read int16 (WIDEN).
#define X86_PAIRS(P)                                                                          \
    struct Signed { t magnitude, x; };                                                        \
    static constexpr bool SIGNED_DOT = true;                                                  \
    template <bool> INLINE t spread(const uint8_t *p) { return words(p); }                    \
    template <bool SIGNED> INLINE auto ready(t x) {                                           \
        if constexpr (SIGNED) { const t s = xor_(x, set8(0x80)); return Signed{P##_abs_epi8(s), s}; } \
        else return x;                                                                        \
    }                                                                                         \
    template <bool SIGNED, class X> INLINE t dot(t acc, X x, t w) {                           \
        t p;                                                                                  \
        if constexpr (SIGNED) p = pairs8(x.magnitude, P##_sign_epi8(w, x.x));                 \
        else p = pairs8(x, w);                                                                \
        acc = add32(acc, pairs16(p, set16(1)));                                               \
        asm("" : "+x"(acc)); /* stays in a register */                                        \
        return acc;                                                                           \
    }                                                                                         \
    template <bool SIGNED> INLINE t step(t acc, t x, t w) {                                   \
        if constexpr (!SIGNED) return dot<false>(acc, x, w);                                  \
        acc = add32(acc, pairs16(x, w));                                                      \
        asm("" : "+x"(acc));                                                                  \
        return acc;                                                                           \
    }

// Stores of 32 and 16 bytes, and of the first `n` bytes.
#define X86_STORES_256                                                                        \
    INLINE t everywhere(__m128i v) { return _mm256_broadcastsi128_si256(v); }                 \
    INLINE void store_some(void *p, t v, int n) {                                             \
        if (n >= 32) { store(p, v); return; }                                                 \
        uint8_t bytes[32];                                                                    \
        store(bytes, v);                                                                      \
        __builtin_memcpy(p, bytes, n);                                                        \
    }                                                                                         \
    INLINE t in_order(t q) { return _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); } \
    template <int N> INLINE void store_part(uint8_t *p, t q) {                                \
        if constexpr (N == 4) store(p, q);                                                    \
        else _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(q));                       \
    }                                                                                         \
    INLINE void store_quarters(uint8_t *const *, t) {}                                        \
    INLINE void store_halves(uint8_t *const *p, t q) {                                        \
        _mm_storeu_si128((__m128i *)p[0], _mm256_castsi256_si128(q));                         \
        _mm_storeu_si128((__m128i *)p[1], _mm256_extracti128_si256(q, 1));                    \
    }
#define X86_STORES_128                                                                        \
    INLINE t everywhere(__m128i v) { return v; }                                              \
    INLINE void store_some(void *p, t v, int n) {                                             \
        if (n >= 16) { store(p, v); return; }                                                 \
        uint8_t bytes[16];                                                                    \
        store(bytes, v);                                                                      \
        __builtin_memcpy(p, bytes, n);                                                        \
    }

// A table of 256 bytes by shuffles of 16, which give 0 where an index is negative. Indices are lowered
// by 16 before each shuffle, so that entry i is the sum (xor) of the first i / 16 + 1 of them: each
// holds what its entries have other than those 16 before.
template <class V> struct ShuffledTable {
    typename V::t more[16];
    explicit ShuffledTable(const uint8_t *bytes) {
        for (int i = 0; i < 16; i++) {
            const __m128i *entries = (const __m128i *)(bytes + 16 * i);
            const __m128i found = _mm_loadu_si128(entries), before = _mm_loadu_si128(entries - (i % 8 > 0));
            more[i] = V::everywhere(i % 8 ? _mm_xor_si128(found, before) : found);
        }
    }
    typename V::t at(typename V::t x) const {
        auto upper = V::xor_(x, V::set8(0x80)), found = V::zero();
        const auto step = V::set8(16);
        for (int i = 0; i < 8; i++, x = V::minus8s(x, step), upper = V::minus8s(upper, step))
            found = V::xor_(found, V::xor_(V::shuffle8(more[i], x), V::shuffle8(more[8 + i], upper)));
        return found;
    }
};
