// Depthwise convolutions: four input rows interleaved byte by byte, so that one dot product of four
// bytes does four taps of a channel. Two output rows share the interleaving where strides allow.
#pragma once
#include "requant.hpp"

namespace kernels {
namespace {

// R x T output pixels of 4 L channels. Weights: [half][group of 4 rows][column][row of R][2][4 L].
template <class V, int KERNEL, int STRIDE, int R, int T, bool SIGNED, bool GENERAL>
INLINE void depthwise_tile(const uint8_t *x, uint8_t *y, const Block &b, const Op &op, const Depthwise &d) {
    const int64_t row = op.x.row, pitch = op.x.pitch;
    const int columns = KERNEL ? KERNEL : d.kernel_w;
    const auto none = V::zero();
    const int8_t *w = b.weights;
    typename V::t done[2][R][T];
    UNROLL for (int h = 0; h < 2; h++) {
        typename V::t acc[R][T][2];
        UNROLL for (int j = 0; j < 2; j++) {
            const auto start = V::load(b.bias + (2 * h + j) * V::L);
            UNROLL for (int r = 0; r < R; r++) UNROLL for (int t = 0; t < T; t++) acc[r][t][j] = start;
        }
        auto column = [&](const uint8_t *top, int left, int i) __attribute__((always_inline)) {
            const uint8_t *p = top + i * pitch;
            const auto a = V::load(p), e = left > 1 ? V::load(p + row) : none;
            auto u = h ? V::hi8(a, e) : V::lo8(a, e), v = none;
            if (left > 2) {
                const auto g = V::load(p + 2 * row), k = left > 3 ? V::load(p + 3 * row) : none;
                v = h ? V::hi8(g, k) : V::lo8(g, k);
            }
            const auto v0 = V::template ready<SIGNED>(V::lo16(u, v)), v1 = V::template ready<SIGNED>(V::hi16(u, v));
            UNROLL for (int r = 0; r < R; r++) UNROLL for (int t = 0; t < T; t++) {
                const int dx = i - t * STRIDE;
                if (dx < 0 || dx >= columns) continue;
                const int8_t *q = w + (dx * R + r) * 8 * V::L;
                acc[r][t][0] = V::template dot<SIGNED>(acc[r][t][0], v0, V::load(q));
                acc[r][t][1] = V::template dot<SIGNED>(acc[r][t][1], v1, V::load(q + 4 * V::L));
            }
        };
        if constexpr (KERNEL != 0) {  // square kernels
            constexpr int rows = (R - 1) * STRIDE + KERNEL;
            UNROLL for (int g = 0; g < (rows + 3) / 4; g++) {
                UNROLL for (int i = 0; i < (T - 1) * STRIDE + KERNEL; i++) column(x + 4 * g * row, rows - 4 * g, i);
                w += KERNEL * R * 8 * V::L;
            }
        } else {
            for (int g = 0; 4 * g < d.kernel_h; g++) {
                for (int i = 0; i < columns; i++) column(x + 4 * g * row, d.kernel_h - 4 * g, i);
                w += columns * R * 8 * V::L;
            }
        }
        UNROLL for (int r = 0; r < R; r++) UNROLL for (int t = 0; t < T; t++) {
            const auto s0 = V::right32(acc[r][t][0], V::load(b.shift + 2 * h * V::L));
            const auto s1 = V::right32(acc[r][t][1], V::load(b.shift + (2 * h + 1) * V::L));
            done[h][r][t] = scaled<V, GENERAL>(V::packs32(s0, s1), b, h);
        }
    }
    const auto f = Final<V>::of(d.clamp);
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int t = 0; t < T; t++)
        V::store(y + r * op.y.row + t * op.y.pitch, codes<V, GENERAL>(done[0][r][t], done[1][r][t], f));
}

template <class V, int KERNEL, int STRIDE, int R, int T, bool SIGNED, bool GENERAL>
static void depthwise_rows(const Op &op, const Depthwise &d, const Block &b, uint8_t *arena, int oy) {
    const int stride = STRIDE ? STRIDE : d.stride, width = op.y.width;
    const uint8_t *x = pixel(op.x, arena) + d.first + int64_t(oy) * stride * op.x.row + b.first;
    uint8_t *y = pixel(op.y, arena, oy) + b.first;
    const int64_t x_step = int64_t(stride) * op.x.pitch, y_step = op.y.pitch;
    int ox = 0;
    if constexpr (T > 1)
        for (; ox < width && width >= T; ox += T) {
            if (ox > width - T) ox = width - T;
            UNROLL for (int r = 0; r < R; r++) UNROLL for (int t = 0; t < T; t++)
                own_line(y + r * op.y.row + (ox + T + t) * y_step);
            depthwise_tile<V, KERNEL, STRIDE, R, T, SIGNED, GENERAL>(x + ox * x_step, y + ox * y_step, b, op, d);
        }
    for (; ox < width; ox++)
        depthwise_tile<V, KERNEL, STRIDE ? STRIDE : 1, R, 1, SIGNED, GENERAL>(x + ox * x_step, y + ox * y_step, b, op, d);
}

template <class V, bool SIGNED, bool GENERAL>
static void depthwise_form(const Op &op, const Depthwise &d, const Block &b, uint8_t *arena, int oy) {
    constexpr int T = V::DEPTHWISE_PIXELS;
    const bool square = d.kernel_h == d.kernel_w;
    if (d.rows == 2 && d.kernel_w == 3) depthwise_rows<V, 3, 1, 2, T, SIGNED, GENERAL>(op, d, b, arena, oy);
    else if (d.rows == 2) depthwise_rows<V, 5, 1, 2, T, SIGNED, GENERAL>(op, d, b, arena, oy);
    else if (square && d.kernel_w == 3 && d.stride == 2) depthwise_rows<V, 3, 2, 1, T, SIGNED, GENERAL>(op, d, b, arena, oy);
    else if (square && d.kernel_w == 5 && d.stride == 2) depthwise_rows<V, 5, 2, 1, T, SIGNED, GENERAL>(op, d, b, arena, oy);
    else depthwise_rows<V, 0, 0, 1, 1, SIGNED, GENERAL>(op, d, b, arena, oy);
}

template <class V> static void depthwise_block(const Op &op, const Depthwise &d, const Block &b, uint8_t *arena, int oy) {
    if (V::SIGNED_DOT && d.is_signed) {
        if (d.general) depthwise_form<V, V::SIGNED_DOT, true>(op, d, b, arena, oy);
        else depthwise_form<V, V::SIGNED_DOT, false>(op, d, b, arena, oy);
    } else {
        if (d.general) depthwise_form<V, false, true>(op, d, b, arena, oy);
        else depthwise_form<V, false, false>(op, d, b, arena, oy);
    }
}

// Whole, Half, Quarter: vectors of 4 L, 2 L and L bytes of the widest.
template <class Whole, class Half, class Quarter> void run_depthwise(const Op &op, uint8_t *arena, int part, int parts) {
    const Depthwise &d = *static_cast<const Depthwise *>(op.work);
    const int rows = (op.y.height + d.rows - 1) / d.rows;
    int r0 = 0, r1 = rows, b0 = 0, b1 = d.block_count;
    if (d.by_block) b0 = share(b1, part, parts), b1 = share(b1, part + 1, parts);
    else r0 = share(rows, part, parts), r1 = share(rows, part + 1, parts);
    for (int k = b0; k < b1; k++)
        for (int r = r0; r < r1; r++) {
            const Block &b = d.blocks[k];
            const int oy = r * d.rows > op.y.height - d.rows ? op.y.height - d.rows : r * d.rows;
            if (b.vectors == 4) depthwise_block<Whole>(op, d, b, arena, oy);
            else if (b.vectors == 2) depthwise_block<Half>(op, d, b, arena, oy);
            else depthwise_block<Quarter>(op, d, b, arena, oy);
        }
}

// One filter a channel at any stride and dilation, to accumulators: plain loops over channels.
static void run_channelwise(const Op &op, uint8_t *arena, int part, int parts) {
    const Channelwise &d = *static_cast<const Channelwise *>(op.work);
    const int channels = (op.y.channels + 15) / 16 * 16, zero = op.x.zero;
    for (int oy = share(op.y.height, part, parts); oy < share(op.y.height, part + 1, parts); oy++)
        for (int ox = 0; ox < op.y.width; ox++) {
            const uint8_t *x = pixel(op.x, arena, int64_t(oy) * op.spec.stride[0], int64_t(ox) * op.spec.stride[1]) + d.first;
            int32_t *y = reinterpret_cast<int32_t *>(pixel(op.y, arena, oy, ox));
            for (int c = 0; c < channels; c++) y[c] = d.bias[c];
            for (int t = 0; t < d.tap_count; t++) {
                const uint8_t *p = x + d.taps[t];
                const int8_t *w = d.weights + int64_t(t) * channels;
                for (int c = 0; c < channels; c++) y[c] += (int(p[c]) - zero) * w[c];
            }
        }
}

}  // namespace
}  // namespace kernels
