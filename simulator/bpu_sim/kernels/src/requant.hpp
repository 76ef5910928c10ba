// The chip's requantization in registers, all in integers (docs/arithmetic.md "Requantization"):
//   a = saturate_int16(accumulator >> right); code = clamp((a * multiplier) >> out).
// packs32 saturates to int16, mulhi16 is (a * multiplier) >> 16, the rest of `out` is a 16-bit shift;
// floor(floor(x / 2^16) / 2^u) = floor(x / 2^(16 + u)), so this is the definition itself. "General"
// channels also have out < 16 (a << t first; beyond `limit` the code has saturated) or a top below 127.
#pragma once
#include "plan.hpp"

#if defined(KERNELS_EMULATED) || defined(__SANITIZE_ADDRESS__)  // of tests: code of a size that compiles
#define INLINE static
#define UNROLL
#else
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#endif

namespace kernels {
namespace {  // every instruction set has its own copy

template <class V> struct Final {
    typename V::t lo, hi, flip;
    INLINE Final of(const Clamp &c) {
        int lo = c.lo, hi = c.hi, flip = c.flip;
        asm volatile("" : "+r"(lo), "+r"(hi), "+r"(flip));  // not in vector registers meanwhile
        return {V::set8(lo), V::set8(hi), V::set8(flip)};
    }
};

template <class V, bool GENERAL>
INLINE typename V::t scaled(typename V::t a, const Block &b, int half) {
    constexpr int N = 2 * V::L;
    if constexpr (GENERAL) {
        const auto limit = V::load(b.limit + half * N);
        a = V::left16(V::min16(V::max16(a, V::not_(limit)), limit), V::load(b.left + half * N));
    }
    return V::template out16<GENERAL>(V::mulhi16(a, V::load(b.multiplier + half * N)), b.out + half * N, b.fix + half * N);
}

template <class V, bool GENERAL>
INLINE typename V::t codes(typename V::t low, typename V::t high, const Final<V> &f) {
    auto q = V::max8(V::packs16(low, high), f.lo);
    if constexpr (GENERAL) q = V::min8(q, f.hi);
    return V::xor_(q, f.flip);
}

// Four vectors of accumulators to codes; vector v has the constants of vector v % n of the block.
// 32-bit word d of the result holds lanes of group d / 4 of vector d % 4.
template <class V, bool GENERAL>
INLINE typename V::t requantized(typename V::t s0, typename V::t s1, typename V::t s2, typename V::t s3,
                                 const Block &b, int n, const Final<V> &f) {
    s0 = V::right32(s0, V::load(b.shift));
    s1 = V::right32(s1, V::load(b.shift + 1 % n * V::L));
    s2 = V::right32(s2, V::load(b.shift + 2 % n * V::L));
    s3 = V::right32(s3, V::load(b.shift + 3 % n * V::L));
    const auto low = scaled<V, GENERAL>(V::packs32(s0, s1), b, 0);
    const auto high = scaled<V, GENERAL>(V::packs32(s2, s3), b, 1);
    return codes<V, GENERAL>(low, high, f);
}

// The same for one accumulator, as it is written down.
INLINE int requantized_one(int32_t sum, int right, int multiplier, int out, const Clamp &c) {
    int a = sum >> right;
    a = a < -32768 ? -32768 : a > 32767 ? 32767 : a;
    a = (a * multiplier) >> out;
    return a < c.lo ? c.lo : a > c.hi ? c.hi : a;
}

}  // namespace
}  // namespace kernels
