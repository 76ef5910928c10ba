// Look-up tables: one for all channels in registers, or one each.
#pragma once
#include "requant.hpp"

namespace kernels {
namespace {

// Tables are by stored byte. V::Table holds one of 256 bytes; rows have room for a vector behind them.
template <class V> void run_lut(const Op &op, uint8_t *arena, int part, int parts) {
    const uint8_t *const bytes = static_cast<const uint8_t *>(op.work);
    const int channels = op.x.channels, whole = (channels + 15) / 16 * 16;
    const bool packed = op.spec.count == 1 && op.x.pitch == whole && op.y.pitch == whole;
    const int count = packed ? op.x.width * whole : channels, pieces = packed ? 1 : op.x.width;
    const typename V::Table table(bytes);
    for (int k = share(op.x.height * pieces, part, parts); k < share(op.x.height * pieces, part + 1, parts); k++) {
        const int y = k / pieces, x = k % pieces;
        const uint8_t *a = pixel(op.x, arena, y, x);
        uint8_t *o = pixel(op.y, arena, y, x);
        if (op.spec.count > 1)
            for (int i = 0; i < channels; i++) o[i] = bytes[256 * i + a[i]];
        else
            for (int i = 0; i < count; i += 4 * V::L) V::store_some(o + i, table.at(V::load(a + i)), count - i);
    }
}

}  // namespace

void run_lut_vbmi(const Op &op, uint8_t *arena, int part, int parts);
}  // namespace kernels
