// Weights and constants in the order in which the kernels read them.
#pragma once
#include "plan.hpp"

namespace kernels {

// Fill `op.work` and `op.parts` from `op.spec`; false: there is no memory.
bool pack(Plan &plan, Op &op);
bool pack_dense(Plan &plan, Op &op);
bool pack_depthwise(Plan &plan, Op &op);
bool pack_channelwise(Plan &plan, Op &op);

// What the kernels need of an output channel.
struct Channel {
    int32_t bias, shift;
    int16_t multiplier, u, left, limit;
};
// Output channel `o` with its bias as it enters the accumulator; `dead`: all its weights are 0, the
// result is a constant; `wide`: the accumulator is the result.
Channel channel_of(const OpSpec &spec, int o, bool dead, bool wide);

// Lane e of vector j of a block in which four vectors are packed: the channel, so that the codes come
// out in order. packs32 and packs16 interleave within groups of four lanes.
inline int packed_lane(int j, int e) { return 16 * (e / 4) + 4 * j + e % 4; }

// Constants of a block of `vectors` vectors of L lanes; lane e of vector j has the constants of
// channel first + (in_order ? packed_lane(j, e) : j * L + e). Says whether they need the general form.
bool pack_block(Plan &plan, Block &b, int L, int vectors, bool in_order, const Channel *channels, int count,
                bool &general);

int parts_of(double nanoseconds);  // into how many pieces work of such a length is cut
inline int at_most(int pieces, int parts) { return pieces < 1 ? 1 : parts < pieces ? parts : pieces; }

}  // namespace kernels
