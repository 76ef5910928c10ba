// AVX-512 and AVX-VNNI on any x86-64: SIMDe (Debian: libsimde-dev) computes each intrinsic with what there is, and
// this file the few that SIMDe 0.7.4 lacks, element by element as the processor's manual has them.
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <string.h>

namespace emulated {
template <class E, class V, class F> inline V each(V a, V b, F f) {
    constexpr int n = sizeof(V) / sizeof(E);
    E x[n], y[n];
    memcpy(x, &a, sizeof a), memcpy(y, &b, sizeof b);
    for (int i = 0; i < n; i++) x[i] = E(f(x[i], y[i]));
    memcpy(&a, x, sizeof a);
    return a;
}
template <class E, class V> inline V right(V a, V n) {  // counts beyond the width leave the sign
    constexpr unsigned bits = 8 * sizeof(E);
    return each<E>(a, n, [](E x, E k) { return x >> ((unsigned)k < bits ? k : bits - 1); });
}
template <class V> inline V left16(V a, V n) {
    return each<int16_t>(a, n, [](int16_t x, int16_t k) { return (unsigned)k < 16 ? uint16_t(x) << k : 0; });
}
inline __m512i right_all(__m512i a, __m128i n) { return right<int32_t>(a, _mm512_set1_epi32(_mm_cvtsi128_si32(n))); }
inline void store_some(void *p, uint64_t mask, __m512i v) {
    uint8_t bytes[64];
    memcpy(bytes, &v, 64);
    for (int i = 0; i < 64; i++)
        if (mask >> i & 1) static_cast<uint8_t *>(p)[i] = bytes[i];
}
}  // namespace emulated

#undef _mm512_madd_epi16  // the alias of SIMDe 0.7.4 wants four arguments
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
#define _mm512_sra_epi32(a, n) emulated::right_all(a, n)
#define _mm512_srav_epi32(a, n) emulated::right<int32_t>(a, n)
#define _mm512_mask_storeu_epi8(p, mask, v) emulated::store_some(p, mask, v)
#define _mm256_dpbusd_avx_epi32(acc, x, w) simde_mm256_dpbusd_epi32(acc, x, w)
#define _mm_dpbusd_avx_epi32(acc, x, w) simde_mm_dpbusd_epi32(acc, x, w)
#define _mm256_srav_epi16(a, n) emulated::right<int16_t>(a, n)
#define _mm_srav_epi16(a, n) emulated::right<int16_t>(a, n)
#define _mm256_sllv_epi16(a, n) emulated::left16(a, n)
#define _mm_sllv_epi16(a, n) emulated::left16(a, n)
