// Work that moves pixels: maximum of windows, resize, copies, borders.
#pragma once
#include <string.h>
#include "requant.hpp"

namespace kernels {
namespace {

// Windows are clipped: padding never wins.
template <class V> void run_pool(const Op &op, uint8_t *arena, int part, int parts) {
    const OpSpec &s = op.spec;
    for (int oy = share(op.y.height, part, parts); oy < share(op.y.height, part + 1, parts); oy++)
        for (int ox = 0; ox < op.y.width; ox++) {
            const int y0 = oy * s.stride[0] - s.pads[0], x0 = ox * s.stride[1] - s.pads[1];
            const int ya = y0 < 0 ? 0 : y0, yb = y0 + s.kernel[0] < op.x.height ? y0 + s.kernel[0] : op.x.height;
            const int xa = x0 < 0 ? 0 : x0, xb = x0 + s.kernel[1] < op.x.width ? x0 + s.kernel[1] : op.x.width;
            uint8_t *out = pixel(op.y, arena, oy, ox);
            for (int c = 0; c < op.y.channels; c += 4 * V::L) {
                auto most = V::zero();
                for (int i = ya; i < yb; i++) {
                    const uint8_t *p = pixel(op.x, arena, i, xa) + c;
                    for (int j = xa; j < xb; j++, p += op.x.pitch) most = V::maxu8(most, V::load(p));
                }
                V::store_some(out + c, V::xor_(most, V::set8(flip_of(op.x) ^ flip_of(op.y))), op.y.channels - c);
            }
        }
}

// Bilinear: rows first, a sum of two products that fits int16; then columns in int32, half up.
template <class V> INLINE void blend(const uint8_t *const p[4], uint8_t *out, int n, typename V::t wa, typename V::t wb,
                                     typename V::t columns, typename V::t flip_x, typename V::t flip_y) {
    const auto none = V::zero(), half = V::set32(1 << 15);
    typename V::t v[4], rows[2][2];
    for (int k = 0; k < 4; k++) v[k] = V::xor_(V::load(p[k]), flip_x);
    auto mix = [&](typename V::t a, typename V::t b) __attribute__((always_inline)) {  // codes in high halves
        return V::add16(V::low16(V::right16(a, 8), wa), V::low16(V::right16(b, 8), wb));
    };
    for (int k = 0; k < 2; k++) {  // left and right column
        rows[k][0] = mix(V::lo8(none, v[k]), V::lo8(none, v[2 + k]));
        rows[k][1] = mix(V::hi8(none, v[k]), V::hi8(none, v[2 + k]));
    }
    auto across = [&](typename V::t l, typename V::t r) __attribute__((always_inline)) {
        const auto a = V::right32_all(V::add32(V::pairs16(V::lo16(l, r), columns), half), 16);
        const auto b = V::right32_all(V::add32(V::pairs16(V::hi16(l, r), columns), half), 16);
        return V::packs32(a, b);
    };
    const auto q = V::packs16(across(rows[0][0], rows[1][0]), across(rows[0][1], rows[1][1]));
    V::store_some(out, V::xor_(q, flip_y), n);
}

template <class V> void run_resize(const Op &op, uint8_t *arena, int part, int parts) {
    const int height = op.y.height, width = op.y.width, channels = op.y.channels;
    const int32_t *rows = static_cast<const int32_t *>(op.work), *columns = rows + 3 * height;
    const int flip = flip_of(op.x) ^ flip_of(op.y);
    const auto flip_x = V::set8(flip_of(op.x)), flip_y = V::set8(flip_of(op.y));
    for (int oy = share(height, part, parts); oy < share(height, part + 1, parts); oy++) {
        const int64_t top = rows[oy], bottom = rows[height + oy], down = rows[2 * height + oy];
        const auto wa = V::set16(256 - int(down)), wb = V::set16(int(down));
        for (int ox = 0; ox < width; ox++) {
            uint8_t *out = pixel(op.y, arena, oy, ox);
            const int64_t left = columns[ox], right = columns[width + ox], across = columns[2 * width + ox];
            if (!op.spec.mode) {
                const uint8_t *p = pixel(op.x, arena, top, left);
                for (int c = 0; c < channels; c++) out[c] = p[c] ^ flip;
                continue;
            }
            const auto weights = V::set32(int((256 - across) | across << 16));
            for (int c = 0; c < channels; c += 4 * V::L) {
                const uint8_t *const p[4] = {pixel(op.x, arena, top, left) + c, pixel(op.x, arena, top, right) + c,
                                             pixel(op.x, arena, bottom, left) + c, pixel(op.x, arena, bottom, right) + c};
                blend<V>(p, out + c, channels - c, wa, wb, weights, flip_x, flip_y);
            }
        }
    }
}

static void run_copy(const Op &op, uint8_t *arena, int part, int parts) {
    const int flip = flip_of(op.x) ^ flip_of(op.y), from = op.spec.steps[0], to = op.spec.steps[1];
    const int channels = op.y.channels;
    const bool whole = from == 1 && to == 1;
    for (int y = share(op.y.height, part, parts); y < share(op.y.height, part + 1, parts); y++)
        for (int x = 0; x < op.y.width; x++) {
            const uint8_t *a = pixel(op.x, arena, y, x);
            uint8_t *b = pixel(op.y, arena, y, x);
            if (whole) for (int c = 0; c < channels; c++) b[c] = a[c] ^ flip;
            else for (int c = 0; c < channels; c++) b[int64_t(c) * to] = a[int64_t(c) * from] ^ flip;
        }
}

static void fill_wide(uint8_t *p, int64_t bytes, int code) {
    int16_t *q = reinterpret_cast<int16_t *>(p);
    for (int64_t i = 0; i < bytes / 2; i++) q[i] = int16_t(code);
}

// Threads share rows, or channels where the convolutions around it most likely do.
static void run_border(const Op &op, uint8_t *arena, int part, int parts) {
    const TensorSpec &t = op.y;
    const int *e = op.spec.edges, code = op.spec.value, rows = e[0] + t.height + e[2];
    const bool by_channel = parts > 1 && t.item == 1 && splits_channels(t);
    const int r0 = by_channel ? 0 : share(rows, part, parts), r1 = by_channel ? rows : share(rows, part + 1, parts);
    const int units = t.pitch / CACHE_LINE, c0 = by_channel ? CACHE_LINE * share(units, part, parts) : 0;
    const int c1 = by_channel && part + 1 < parts ? CACHE_LINE * share(units, part + 1, parts) : t.pitch;
    auto strips = [&](auto each) __attribute__((always_inline)) {
        for (int y = r0 - e[0]; y < r1 - e[0]; y++) {
            const bool outside = y < 0 || y >= t.height;
            each(pixel(t, arena, y, -e[1]), outside ? e[1] + t.width + e[3] : e[1]);
            if (!outside) each(pixel(t, arena, y, t.width), e[3]);
        }
    };
    auto pieces = [&](uint8_t *p, int pixels, auto each) __attribute__((always_inline)) {
        if (!by_channel) each(p, pixels * int64_t(t.pitch));
        else for (int i = 0; i < pixels; i++, p += t.pitch) each(p + c0, int64_t(c1 - c0));
    };
    strips([&](uint8_t *p, int pixels) { pieces(p, pixels, [](uint8_t *q, int64_t bytes) { own_lines(q, bytes); }); });
    strips([&](uint8_t *p, int pixels) {
        pieces(p, pixels, [&](uint8_t *q, int64_t bytes) {
            if (t.item == 2) fill_wide(q, bytes, code);
            else memset(q, code + t.zero, size_t(bytes));
        });
    });
}

static void run_fill(const Op &op, uint8_t *arena, int part, int parts) {
    for (int y = share(op.y.height, part, parts); y < share(op.y.height, part + 1, parts); y++)
        for (int x = 0; x < op.y.width; x++) memset(pixel(op.y, arena, y, x), op.spec.value + op.y.zero, op.y.channels);
}

static void run_widen(const Op &op, uint8_t *arena, int part, int parts) {
    const int zero = op.x.zero, channels = op.x.channels;
    for (int y = share(op.x.height, part, parts); y < share(op.x.height, part + 1, parts); y++)
        for (int x = 0; x < op.x.width; x++) {
            const uint8_t *a = pixel(op.x, arena, y, x);
            int16_t *b = reinterpret_cast<int16_t *>(pixel(op.y, arena, y, x));
            for (int c = 0; c < channels; c++) b[c] = int16_t(int(a[c]) - zero);
        }
}

}  // namespace
}  // namespace kernels
