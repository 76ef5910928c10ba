#include <string.h>
#include "pack.hpp"

namespace kernels {

// All output channels of a convolution; biases take what the stored zero of x adds.
static Channel *channels_of(Plan &plan, const Op &op, int depth) {
    const OpSpec &s = op.spec;
    const int outputs = op.y.channels;
    const bool compensated = op.x.item == 1 && !plan.set->signed_dot;
    Channel *found = plan.pool.array<Channel>(outputs);
    if (!found) return nullptr;
    for (int o = 0; o < outputs; o++) {
        const int8_t *w = s.weights + int64_t(o) * depth;
        int32_t sum = 0, set = 0;  // depth is far below 2^24
        for (int i = 0; i < depth; i++) sum += w[i], set |= w[i];
        found[o] = channel_of(s, o, set == 0, op.y.item == 4);
        if (compensated) found[o].bias = int32_t(uint32_t(found[o].bias - op.x.zero * int64_t(sum)));
    }
    return found;
}

// Where the bytes of a window lie: whole rows of it, if its pixels follow one another, else each tap.
struct Window {
    int inputs, depth, kernel_h, kernel_w, taps;  // taps: elements in a step of 4 bytes
    bool whole_rows;
    int run_count() const { return whole_rows ? kernel_h : kernel_h * kernel_w; }
    int steps() const { return (whole_rows ? kernel_w * depth : depth) / taps; }
    // The weight that element `at` of run `run` meets, -1: none.
    int64_t weight(int run, int at) const {
        const int tap = whole_rows ? run * kernel_w + at / depth : run, channel = whole_rows ? at % depth : at;
        return channel < inputs ? int64_t(tap) * inputs + channel : -1;
    }
};

static Window window_of(const Op &op) {
    Window w = {op.x.channels, 0, op.spec.kernel[0], op.spec.kernel[1], 4 / op.x.item, false};
    w.depth = (w.inputs + w.taps - 1) / w.taps * w.taps;
    w.whole_rows = op.spec.dilation[1] == 1 && w.depth * op.x.item == op.x.pitch;
    return w;
}

static const int64_t *runs_of(Plan &plan, const Op &op, const Window &w) {
    int64_t *runs = plan.pool.array<int64_t>(w.run_count());
    for (int i = 0; runs && i < w.run_count(); i++) {
        const int64_t row = w.whole_rows ? i : i / w.kernel_w, column = w.whole_rows ? 0 : i % w.kernel_w;
        runs[i] = row * op.spec.dilation[0] * op.x.row + column * op.spec.dilation[1] * op.x.pitch;
    }
    return runs;
}

// Vectors of the next block when `units` of 16 channels are left.
static int vectors_of(const InstructionSet &set, int units) {
    if (set.lanes < 16) return 16 / set.lanes;
    return units == 5 || units == 6 ? 3 : units > 4 ? 4 : units;
}

static const int8_t *block_weights(Plan &plan, const Op &op, const Window &w, const Block &b, bool in_order) {
    const int L = plan.set->lanes, steps = w.run_count() * w.steps(), item = op.x.item;
    const int64_t depth = int64_t(w.kernel_h) * w.kernel_w * w.inputs;
    int8_t *start = plan.pool.array<int8_t>(size_t(steps) * b.vectors * 4 * L), *p = start;
    for (int k = 0; start && k < steps; k++) {
        int64_t at[4];
        bool together = item == 1;  // as they lie
        for (int q = 0; q < w.taps; q++) {
            at[q] = w.weight(k / w.steps(), k % w.steps() * w.taps + q);
            together &= at[q] == at[0] + q && at[q] >= 0;
        }
        for (int j = 0; j < b.vectors; j++)
            for (int e = 0; e < L; e++) {
                const int o = b.first + (in_order ? packed_lane(j, e) : j * L + e);
                const int8_t *from = op.spec.weights + o * depth;
                if (together) {
                    if (o < op.y.channels) memcpy(p, from + at[0], 4);
                    p += 4;
                    continue;
                }
                for (int q = 0; q < w.taps; q++, p += item) {
                    p[0] = o < op.y.channels && at[q] >= 0 ? from[at[q]] : 0;
                    if (item == 2) p[1] = p[0] < 0 ? -1 : 0;
                }
            }
    }
    return start;
}

bool pack_dense(Plan &plan, Op &op) {
    const Window w = window_of(op);
    const int L = plan.set->lanes, units = (op.y.channels + 15) / 16, pixels = op.y.height * op.y.width;
    const bool wide = op.y.item == 4;
    Dense *d = plan.pool.array<Dense>(1);
    Block *blocks = plan.pool.array<Block>(units);
    const int64_t *runs = runs_of(plan, op, w);
    const Channel *channels = channels_of(plan, op, w.kernel_h * w.kernel_w * w.inputs);
    if (!d || !blocks || !runs || !channels) return false;
    *d = {-op.spec.pads[0] * op.x.row - int64_t(op.spec.pads[1]) * op.x.pitch, runs, w.run_count(), w.steps(), 0, blocks,
          op.x.zero != 0 || op.x.item == 2, false, wide, false, {op.spec.lo, op.spec.hi, flip_of(op.y)}};
    bool general = op.spec.hi < 127;
    const int64_t window = int64_t(4) * w.run_count() * w.steps();  // bytes
    double weight_bytes = 0;
    for (int u = 0; u < units;) {
        Block &b = blocks[d->block_count++];
        b.first = 16 * u;
        const int vectors = vectors_of(*plan.set, units - u);
        const bool in_order = vectors == 4 && !wide;
        if (!pack_block(plan, b, L, vectors, in_order, channels, op.y.channels, general)) return false;
        if (!(b.weights = block_weights(plan, op, w, b, in_order))) return false;
        b.pixels = plan.set->tile(vectors, pixels);
        weight_bytes += double(window) * vectors * L;
        u += vectors * L / 16;
    }
    d->general = general;
    const bool even = d->block_count >= 8 || (d->block_count > 1 && pixels < 2 * PIXELS);  // shares
    d->by_block = even && weight_bytes > double(pixels) * window;  // each core reads some weights
    op.work = d;
    const double read = 0.02 * weight_bytes, computed = pixels * weight_bytes * (plan.set->lanes == 16 ? 0.006 : 0.015);
    op.parts = at_most(d->by_block ? d->block_count : pixels / PIXELS, parts_of(read > computed ? read : computed));
    return true;
}

static const int8_t *filters(Plan &plan, const Op &op, const Depthwise &d, const Block &b, int L) {
    const int groups = ((d.rows - 1) * d.stride + d.kernel_h + 3) / 4, area = d.kernel_h * d.kernel_w;
    int8_t *start = plan.pool.array<int8_t>(size_t(2) * groups * d.kernel_w * d.rows * 8 * L), *p = start;
    if (!start) return nullptr;
    for (int h = 0; h < 2; h++)
        for (int g = 0; g < groups; g++)
            for (int column = 0; column < d.kernel_w; column++)
                for (int r = 0; r < d.rows; r++)
                    for (int j = 0; j < 2; j++)
                        for (int e = 0; e < L; e++)
                            for (int q = 0; q < 4; q++, p++) {
                                const int c = b.first + packed_lane(2 * h + j, e), row = 4 * g + q - r * d.stride;
                                if (c < op.x.channels && row >= 0 && row < d.kernel_h)
                                    *p = op.spec.weights[int64_t(c) * area + row * d.kernel_w + column];
                            }
    return start;
}

bool pack_depthwise(Plan &plan, Op &op) {
    const OpSpec &s = op.spec;
    const int kh = s.kernel[0], kw = s.kernel[1], units = (op.x.channels + 15) / 16;
    Depthwise *d = plan.pool.array<Depthwise>(1);
    Block *blocks = plan.pool.array<Block>(units);
    const Channel *channels = channels_of(plan, op, kh * kw);
    if (!d || !blocks || !channels) return false;
    const bool pairs = s.stride[0] == 1 && kh == kw && (kh == 3 || kh == 5) && op.y.height > 1;
    *d = {-s.pads[0] * op.x.row - int64_t(s.pads[1]) * op.x.pitch, kh, kw, s.stride[0], pairs ? 2 : 1, 0, blocks,
          op.x.zero != 0, false, false, {s.lo, s.hi, flip_of(op.y)}};
    bool general = s.hi < 127;
    for (int u = 0; u < units;) {
        const int most = plan.set->lanes / 4, left = units - u;  // units of 16 channels: 4, 2 or 1
        int taken = most;
        while (taken > left) taken /= 2;
        Block &b = blocks[d->block_count++];
        b.first = 16 * u;
        if (!pack_block(plan, b, 4 * taken, 4, true, channels, op.x.channels, general)) return false;
        if (!(b.weights = filters(plan, op, *d, b, 4 * taken))) return false;
        b.vectors = taken;
        u += taken;
    }
    d->general = general;
    op.work = d;
    d->by_block = splits_channels(op.x) && d->block_count > 1;
    const int pieces = d->by_block ? d->block_count : (op.y.height + d->rows - 1) / d->rows;
    op.parts = at_most(pieces, parts_of(double(op.y.height) * op.y.width * op.y.channels * kh * kw * 0.02));
    return true;
}

bool pack_channelwise(Plan &plan, Op &op) {
    const OpSpec &s = op.spec;
    const int kh = s.kernel[0], kw = s.kernel[1], whole = (op.y.channels + 15) / 16 * 16;
    Channelwise *d = plan.pool.array<Channelwise>(1);
    int32_t *bias = plan.pool.array<int32_t>(whole);
    int8_t *weights = plan.pool.array<int8_t>(size_t(kh) * kw * whole);
    int64_t *taps = plan.pool.array<int64_t>(size_t(kh) * kw);
    if (!d || !bias || !weights || !taps) return false;
    for (int c = 0; c < op.y.channels; c++) {
        bias[c] = int32_t(s.bias[c]);
        for (int t = 0; t < kh * kw; t++) weights[int64_t(t) * whole + c] = s.weights[int64_t(c) * kh * kw + t];
    }
    for (int t = 0; t < kh * kw; t++)
        taps[t] = int64_t(t / kw) * s.dilation[0] * op.x.row + int64_t(t % kw) * s.dilation[1] * op.x.pitch;
    *d = {bias, weights, taps, kh * kw, -s.pads[0] * op.x.row - int64_t(s.pads[1]) * op.x.pitch};
    op.work = d;
    op.parts = parts_of(double(op.y.height) * op.y.width * op.y.channels * kh * kw * 0.1);
    return true;
}

}  // namespace kernels
