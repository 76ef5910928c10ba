// Dense convolutions: tiles of M pixels x N vectors of channels, straight from the image.
#pragma once
#include "requant.hpp"

namespace kernels {
namespace {

// All output pixels [p0, p1) of one block, M at a time; the last tile may overlap the one before.
template <class V, int M, int N, bool SIGNED, bool GENERAL, bool WIDE>
static void strip(const Op &op, const Dense &d, const Block &b, uint8_t *arena, int p0, int p1) {
    const int width = op.y.width;
    const uint8_t *const x0 = pixel(op.x, arena) + d.first;
    uint8_t *const y0 = pixel(op.y, arena) + (WIDE ? 4 : 1) * b.first;
    const int64_t x_row = op.spec.stride[0] * op.x.row, x_pixel = int64_t(op.spec.stride[1]) * op.x.pitch;
    const int64_t ahead = M * int64_t(op.y.pitch);  // the next tile's
    const int bytes = 4 * d.steps;
    for (int p = p0; p < p1; p += M) {
        if (p > p1 - M && p1 - M >= p0) p = p1 - M;
        const uint8_t *px[M];
        uint8_t *out[M];
        int oy = p / width, ox = p - oy * width;
        UNROLL for (int i = 0; i < M; i++) {
            px[i] = x0 + oy * x_row + ox * x_pixel;
            out[i] = y0 + oy * op.y.row + int64_t(ox) * op.y.pitch;
            own_line(out[i] + ahead);
            if (p + i + 1 < p1 && ++ox == width) ox = 0, oy++;
        }
        typename V::t acc[M][N];
        UNROLL for (int j = 0; j < N; j++) {
            const auto start = V::load(b.bias + j * V::L);
            UNROLL for (int i = 0; i < M; i++) acc[i][j] = start;
        }
        const int8_t *w = b.weights;
        int s = 0;
        do {  // at least one run of one step: loops that test last keep the accumulators in registers
            const uint8_t *q[M];
            UNROLL for (int i = 0; i < M; i++) q[i] = px[i] + d.runs[s];
            long k = 0;
            do {
                typename V::t wv[N];
                UNROLL for (int j = 0; j < N; j++) wv[j] = V::load(w + j * 4 * V::L);
                w += N * 4 * V::L;
                UNROLL for (int i = 0; i < M; i++) {
                    const auto x = V::template spread<SIGNED>(q[i] + k);
                    UNROLL for (int j = 0; j < N; j++) acc[i][j] = V::template step<SIGNED>(acc[i][j], x, wv[j]);
                }
            } while ((k += 4) < bytes);
        } while (++s < d.run_count);
        if constexpr (WIDE) {
            UNROLL for (int i = 0; i < M; i++)
                UNROLL for (int j = 0; j < N; j++) V::store(out[i] + 4 * j * V::L, acc[i][j]);
            continue;
        }
        const auto f = Final<V>::of(d.clamp);
        if constexpr (!WIDE && N == 1 && M % 4 == 0) {
            UNROLL for (int i = 0; i < M; i += 4)
                V::store_quarters(out + i, V::in_order(requantized<V, GENERAL>(acc[i][0], acc[i + 1][0], acc[i + 2][0], acc[i + 3][0], b, 1, f)));
        } else if constexpr (!WIDE && N == 2 && M % 2 == 0) {
            UNROLL for (int i = 0; i < M; i += 2)
                V::store_halves(out + i, V::in_order(requantized<V, GENERAL>(acc[i][0], acc[i][1], acc[i + 1][0], acc[i + 1][1], b, 2, f)));
        } else if constexpr (!WIDE) {
            UNROLL for (int i = 0; i < M; i++) {
                const auto r = requantized<V, GENERAL>(acc[i][0], acc[i][N > 1 ? 1 : 0], acc[i][N > 2 ? 2 : 0], acc[i][N > 3 ? 3 : N == 2 ? 1 : 0], b, N, f);
                V::template store_part<N>(out[i], N == 4 ? r : V::in_order(r));  // N = 4 is packed for it
            }
        }
    }
}

template <class V, int M, int N>
INLINE void any_strip(const Op &op, const Dense &d, const Block &b, uint8_t *arena, int p0, int p1) {
    const bool is_signed = V::SIGNED_DOT && d.is_signed;
    if (d.wide) {
        if (is_signed) strip<V, M, N, V::SIGNED_DOT, false, true>(op, d, b, arena, p0, p1);
        else strip<V, M, N, false, false, true>(op, d, b, arena, p0, p1);
    } else if (is_signed) {
        if (d.general) strip<V, M, N, V::SIGNED_DOT, true, false>(op, d, b, arena, p0, p1);
        else strip<V, M, N, V::SIGNED_DOT, false, false>(op, d, b, arena, p0, p1);
    } else {
        if (d.general) strip<V, M, N, false, true, false>(op, d, b, arena, p0, p1);
        else strip<V, M, N, false, false, false>(op, d, b, arena, p0, p1);
    }
}

enum { CHUNK_BYTES = 192 * 1024 };  // of windows between two blocks of weights: they stay in L2

template <class V> void run_dense(const Op &op, uint8_t *arena, int part, int parts) {
    const Dense &d = *static_cast<const Dense *>(op.work);
    const int pixels = op.y.height * op.y.width;
    const int64_t window = int64_t(d.steps) * 4 * d.run_count;
    int p0 = 0, p1 = pixels, b0 = 0, b1 = d.block_count;
    if (d.by_block) {
        b0 = share(d.block_count, part, parts), b1 = share(d.block_count, part + 1, parts);
    } else {
        p0 = share(pixels, part, parts) / PIXELS * PIXELS;
        if (part + 1 < parts) p1 = share(pixels, part + 1, parts) / PIXELS * PIXELS;
    }
    int chunk = int(CHUNK_BYTES / (window + 1)) / PIXELS * PIXELS;
    if (chunk < 2 * PIXELS) chunk = 2 * PIXELS;
    for (int c0 = p0; c0 < p1; c0 += chunk)
        for (int k = b0; k < b1; k++) V::tiles(op, d, d.blocks[k], arena, c0, c0 + chunk < p1 ? c0 + chunk : p1);
}

}  // namespace
}  // namespace kernels
