// Element-wise work: sums, products, requantization of accumulators, colours.
#pragma once
#include <string.h>
#include "requant.hpp"

namespace kernels {
namespace {

enum { AHEAD = 512 };  // bytes
enum { ELTWISE_ADD, ELTWISE_MULTIPLY, ELTWISE_SCALE };  // as in bpu_common.program.EltwiseKind

// One set of parameters for all channels, all in 16 bits. Rows have room for a vector behind them.
template <class V, bool PRODUCT> void run_uniform(const Op &op, uint8_t *arena, int part, int parts) {
    const Uniform &d = *static_cast<const Uniform *>(op.work);
    const int whole = (op.y.channels + 15) / 16 * 16;
    const bool packed = op.y.pitch == whole && op.x.pitch == whole && op.z.pitch == whole;
    const int count = packed ? op.y.width * whole : op.y.channels, pieces = packed ? 1 : op.y.width;
    const auto factors = V::set16((d.a & 255) | d.b << 8), bias = V::set16(d.bias), multiplier = V::set16(d.multiplier);
    const auto flip_x = V::set8(flip_of(op.x)), flip_z = V::set8(flip_of(op.z)), none = V::zero();
    const auto f = Final<V>::of(d.clamp);
    for (int k = share(op.y.height * pieces, part, parts); k < share(op.y.height * pieces, part + 1, parts); k++) {
        const int y = k / pieces, x = k % pieces;
        const uint8_t *a = pixel(op.x, arena, y, x), *b = pixel(op.z, arena, y, x);
        uint8_t *o = pixel(op.y, arena, y, x);
        for (int i = 0; i < count; i += 4 * V::L) {
            own_line(o + i + AHEAD);
            const auto va = V::xor_(V::load(a + i), flip_x), vb = V::xor_(V::load(b + i), flip_z);
            typename V::t s[2];
            if constexpr (PRODUCT) {  // codes in the high half of int16, then down
                s[0] = V::low16(V::right16(V::lo8(none, va), 8), V::right16(V::lo8(none, vb), 8));
                s[1] = V::low16(V::right16(V::hi8(none, va), 8), V::right16(V::hi8(none, vb), 8));
            } else {
                s[0] = V::pairs8(factors, V::lo8(va, vb)), s[1] = V::pairs8(factors, V::hi8(va, vb));
            }
            for (int j = 0; j < 2; j++) s[j] = V::right16(V::mulhi16(V::adds16(s[j], bias), multiplier), d.out);
            V::store_some(o + i, V::xor_(V::min8(V::max8(V::packs16(s[0], s[1]), f.lo), f.hi), f.flip), count - i);
        }
    }
}

static void run_eltwise(const Op &op, uint8_t *arena, int part, int parts) {
    const Entries &d = *static_cast<const Entries *>(op.work);
    const TensorSpec &z = op.z;
    const int channels = op.y.channels, flip_x = flip_of(op.x), flip_z = flip_of(z);
    const bool pair = op.spec.z >= 0, one = z.channels == 1;
    for (int y = share(op.y.height, part, parts); y < share(op.y.height, part + 1, parts); y++)
        for (int x = 0; x < op.y.width; x++) {
            const uint8_t *a = pixel(op.x, arena, y, x);
            const uint8_t *b = pair ? pixel(z, arena, z.height > 1 ? y : 0, z.width > 1 ? x : 0) : a;
            uint8_t *o = pixel(op.y, arena, y, x);
            const int single = int8_t(b[0] ^ flip_z) - d.zero_b;
            for (int c = 0; c < channels; c++) {
                const int va = int8_t(a[c] ^ flip_x) - d.zero_a;
                const int vb = one ? single : int8_t(b[c] ^ flip_z) - d.zero_b;
                const int sum = d.kind == ELTWISE_ADD ? va * d.a[c] + vb * d.b[c]
                              : d.kind == ELTWISE_MULTIPLY ? va * vb : va * d.a[c];
                o[c] = uint8_t(requantized_one(sum + d.bias[c], d.right[c], d.multiplier[c], d.out[c], d.clamp) ^ d.clamp.flip);
            }
        }
}

// Accumulators that hold their bias already, plus factor * code of z, to codes or to accumulators.
static void run_requant(const Op &op, uint8_t *arena, int part, int parts) {
    const Entries &d = *static_cast<const Entries *>(op.work);
    const int channels = op.y.channels, flip_z = flip_of(op.z);
    const bool pair = op.spec.z >= 0, wide = op.y.item == 4;
    for (int y = share(op.y.height, part, parts); y < share(op.y.height, part + 1, parts); y++)
        for (int x = 0; x < op.y.width; x++) {
            int32_t *a = reinterpret_cast<int32_t *>(pixel(op.x, arena, y, x));
            uint8_t *o = pixel(op.y, arena, y, x);
            if (pair) {
                const uint8_t *b = pixel(op.z, arena, y, x);
                for (int c = 0; c < channels; c++) a[c] += int8_t(b[c] ^ flip_z) * d.b[c];
            }
            if (wide) memmove(o, a, size_t(4) * channels);
            else
                for (int c = 0; c < channels; c++)
                    o[c] = uint8_t(requantized_one(a[c], d.right[c], d.multiplier[c], d.out[c], d.clamp) ^ d.clamp.flip);
        }
}

// A pixel of 4 bytes in each lane: four sums of four products.
template <class V> void run_mix(const Op &op, uint8_t *arena, int part, int parts) {
    const Mix &d = *static_cast<const Mix *>(op.work);
    typename V::t weights[4], bias[4], multiplier[2], out[2];
    for (int o = 0; o < 4; o++) weights[o] = V::set32(d.weights[o]), bias[o] = V::set32(d.bias[o]);
    for (int k = 0; k < 2; k++) {
        multiplier[k] = V::lo64(V::set16(d.multiplier[2 * k]), V::set16(d.multiplier[2 * k + 1]));
        out[k] = V::lo64(V::set16(d.out[2 * k]), V::set16(d.out[2 * k + 1]));
    }
    const auto f = Final<V>::of(d.clamp);
    const int width = op.y.width;
    for (int y = share(op.y.height, part, parts); y < share(op.y.height, part + 1, parts); y++)
        for (int x = 0; x < width; x += V::L) {
            if (x > width - V::L && width >= V::L) x = width - V::L;
            own_line(pixel(op.y, arena, y, x) + AHEAD);
            const auto p = V::template ready<true>(V::load(pixel(op.x, arena, y, x)));
            typename V::t s[4];
            for (int o = 0; o < 4; o++) s[o] = V::right32_all(V::template dot<true>(bias[o], p, weights[o]), d.shift[o]);
            const auto low = V::plain_out16(V::mulhi16(V::packs32(s[0], s[1]), multiplier[0]), out[0]);
            const auto high = V::plain_out16(V::mulhi16(V::packs32(s[2], s[3]), multiplier[1]), out[1]);
            const auto q = V::xor_(V::min8(V::max8(V::packs16(low, high), f.lo), f.hi), f.flip);
            V::store_some(pixel(op.y, arena, y, x), V::transpose4(q), 4 * (width - x));
        }
}

}  // namespace
}  // namespace kernels
