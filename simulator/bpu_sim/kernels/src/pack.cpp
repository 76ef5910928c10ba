#include "pack.hpp"
#include <string.h>

namespace kernels {

static const Channel NOTHING = {0, 0, 1 << 14, 6, 0, 32767};

int parts_of(double nanoseconds) {
    const double piece = 8000, most = 32, least = 700;  // an even number: two threads take halves
    const int pairs = int(nanoseconds / (2 * piece) + 0.5);
    return nanoseconds < least ? 1 : pairs < 1 ? 2 : 2 * pairs > most ? int(most) : 2 * pairs;
}

Channel channel_of(const OpSpec &s, int o, bool dead, bool wide) {
    if (wide) return {int32_t(s.bias[o]), 0, 1 << 14, 6, 0, 32767};
    const int right = s.right[o], m = s.multiplier[o], out = s.out[o];
    if (dead) {
        int64_t a = s.bias[o] >> right;
        a = a < -32768 ? -32768 : a > 32767 ? 32767 : a;
        int64_t y = (a * m) >> out;
        y = y < s.lo ? s.lo : y > s.hi ? s.hi : y;
        return {int32_t(y * 256), 0, 1 << 14, 6, 0, 32767};  // (256 y * 2^14 >> 16) >> 6 = y
    }
    // Where out < 16 the loader sends multipliers from 512 upwards only, so that whatever is beyond
    // `limit` has left int8; at out <= 2 so has any accumulator but 0, and 14 bits of shift will do.
    const int t = out > 15 ? 0 : out > 2 ? 16 - out : 14;
    return {int32_t(s.bias[o]), right, int16_t(m), int16_t(out < 16 ? 0 : out - 16), int16_t(t),
            int16_t((1 << (15 - t)) - 1)};
}

bool pack_block(Plan &plan, Block &b, int L, int vectors, bool in_order, const Channel *channels, int count, bool &general) {
    const bool shift16 = plan.set->shift16;
    int32_t *bias = plan.pool.array<int32_t>(vectors * L), *shift = plan.pool.array<int32_t>(vectors * L);
    int16_t *table[5];
    for (auto &t : table)
        if (!(t = plan.pool.array<int16_t>(4 * L))) return false;
    if (!bias || !shift) return false;
    for (int j = 0; j < 4; j++)
        for (int e = 0; e < L; e++) {
            const int vector = j % vectors, k = in_order ? packed_lane(vector, e) : vector * L + e;
            const Channel &c = b.first + k < count ? channels[b.first + k] : NOTHING;
            if (j < vectors) bias[j * L + e] = c.bias, shift[j * L + e] = c.shift;
            const int at = (j / 2) * 2 * L + (e / 4) * 8 + (j % 2) * 4 + e % 4;  // as packs32 leaves them
            table[0][at] = c.multiplier;
            table[1][at] = shift16 ? c.u : c.u >= 2 ? int16_t(1 << (16 - c.u)) : 0;
            table[2][at] = shift16 ? c.left : int16_t(1 << c.left);
            table[3][at] = c.limit;
            table[4][at] = c.u;
            general |= c.left > 0 || (!shift16 && c.u < 2);
        }
    b.vectors = vectors, b.bias = bias, b.shift = shift;
    b.multiplier = table[0], b.out = table[1], b.left = table[2], b.limit = table[3], b.fix = table[4];
    return true;
}

// An array of one value a channel, from one or one each.
static const int32_t *spread(Plan &plan, const int32_t *values, int count, int channels) {
    int32_t *made = plan.pool.array<int32_t>((channels + 15) / 16 * 16);
    for (int c = 0; made && values && c < channels; c++) made[c] = values[count > 1 ? c : 0];
    return made;
}

static bool pack_entries(Plan &plan, Op &op) {
    const OpSpec &s = op.spec;
    const int channels = op.y.channels;
    Entries *d = plan.pool.array<Entries>(1);
    int32_t *bias = plan.pool.array<int32_t>((channels + 15) / 16 * 16);
    if (!d || !bias) return false;
    for (int c = 0; s.bias && c < channels; c++) bias[c] = int32_t(s.bias[s.count > 1 ? c : 0]);
    *d = {spread(plan, s.factors, s.count, channels), spread(plan, s.more_factors, s.count, channels), bias,
          spread(plan, s.right, s.count, channels), spread(plan, s.multiplier, s.count, channels),
          spread(plan, s.out, s.count, channels), s.mode, s.zeros[0], s.zeros[1], {s.lo, s.hi, flip_of(op.y)}};
    op.work = d;
    return d->a && d->b && d->right && d->multiplier && d->out;
}

static bool pack_uniform(Plan &plan, Op &op) {
    const OpSpec &s = op.spec;
    Uniform *d = plan.pool.array<Uniform>(1);
    if (!d) return false;
    *d = {s.factors[0], s.more_factors[0], int(s.bias[0]), s.multiplier[0], s.out[0] - 16, {s.lo, s.hi, flip_of(op.y)}};
    op.work = d;
    return true;
}

static bool pack_mix(Plan &plan, Op &op) {
    const OpSpec &s = op.spec;
    Mix *d = plan.pool.array<Mix>(1);
    if (!d) return false;
    for (int o = 0; o < 4; o++) {
        const int8_t *w = s.weights + 4 * o;
        const int sum = w[0] + w[1] + w[2] + w[3], u = s.out[o] - 16;
        memcpy(&d->weights[o], w, 4);
        d->bias[o] = int32_t(s.bias[o] - (plan.set->signed_dot ? 0 : 128 * sum));
        d->shift[o] = s.right[o], d->multiplier[o] = int16_t(s.multiplier[o]);
        d->out[o] = int16_t(plan.set->shift16 ? u : 1 << (16 - u));
    }
    d->clamp = {s.lo, s.hi, flip_of(op.y)};
    op.work = d;
    return true;
}

static bool pack_lut(Plan &plan, Op &op) {
    uint8_t *table = plan.pool.array<uint8_t>(256 * size_t(op.spec.count));
    if (!table) return false;
    for (int t = 0; t < op.spec.count; t++)
        for (int u = 0; u < 256; u++)  // stored byte u is code u - zero
            table[256 * t + u] = uint8_t(op.spec.tables[256 * t + uint8_t(u - op.x.zero + 128)] ^ flip_of(op.y));
    op.work = table;
    return true;
}

static bool pack_resize(Plan &plan, Op &op) {
    const size_t count = 3 * (size_t(op.y.height) + op.y.width);
    int32_t *positions = plan.pool.array<int32_t>(count);
    if (!positions) return false;
    memcpy(positions, op.spec.positions, count * sizeof(int32_t));
    op.work = positions;
    return true;
}

bool pack(Plan &plan, Op &op) {
    const double elements = double(op.y.height) * op.y.width * op.y.channels;
    op.work = nullptr;
    op.parts = parts_of(elements * 0.05);
    switch (op.spec.kind) {
    case CONV: return pack_dense(plan, op);
    case DEPTHWISE: return pack_depthwise(plan, op);
    case CHANNELWISE: return pack_channelwise(plan, op);
    case MIX: return pack_mix(plan, op);
    case REQUANT:
    case ELTWISE: op.parts = parts_of(elements * 0.5); return pack_entries(plan, op);
    case ADD:
    case MULTIPLY: return pack_uniform(plan, op);
    case POOL: op.parts = parts_of(elements * 0.02 * op.spec.kernel[0] * op.spec.kernel[1]); return true;
    case LUT: op.parts = parts_of(elements * 0.4); return pack_lut(plan, op);
    case RESIZE: op.parts = parts_of(elements * 0.2); return pack_resize(plan, op);
    default: return true;
    }
}

}  // namespace kernels
