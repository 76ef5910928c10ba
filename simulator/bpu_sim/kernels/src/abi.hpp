// The C interface: what the loader (plan.py, library.py) fills and calls. Fixed layouts, no padding
// left to chance; `kernels_layout` lets the loader compare sizes before it passes anything.
#pragma once
#include <stdint.h>

namespace kernels {

enum { ABI = 2 };

// A tensor in a frame's arena, or a view of one: a box, every n-th pixel, some channels.
struct TensorSpec {
    int64_t at;     // bytes from the arena's start to pixel (0, 0)
    int64_t row;    // bytes from row to row
    int32_t pitch;  // bytes from pixel to pixel
    int32_t height, width, channels;
    int32_t zero;   // stored byte = code + zero: 0 for codes that are never negative, else 128
    int32_t item;   // bytes of an element: 1, 2 (widened codes) or 4 (accumulators)
};

enum Kind : int32_t {
    INPUT,      // y <- codes of the caller, input `slot`; `steps`: its bytes from row to row and
                // from pixel to pixel, 0: nothing between them
    OUTPUT,     // x -> the caller's array, output `slot`; `steps` likewise
    BORDER,     // `value` around y: `edges` pixels on each side
    FILL,       // y <- `value`, borders untouched
    WIDEN,      // y (item 2) <- codes of x
    CONV,       // y <- convolution of x, all channels of x; y int8 or accumulators (item 4)
    DEPTHWISE,  // y <- one filter a channel; square stride
    CHANNELWISE,// y (item 4) <- one filter a channel, any stride and dilation
    MIX,        // y <- 1x1 convolution of at most 4 to at most 4 channels, both of pitch 4
    REQUANT,    // y <- accumulators x, plus z * factors
    ELTWISE,    // y <- x and z, any parameters
    ADD,        // y <- x * ka + z * kb, one set of parameters that fits 16 bits
    MULTIPLY,   // y <- x * z, likewise
    POOL,       // y <- maximum of each window of x
    LUT,        // y <- table[x]
    RESIZE,     // y <- x at given positions
    COPY,       // y <- x
    KINDS
};

struct OpSpec {
    int32_t kind, x, y, z;          // tensors by number, -1: none
    int32_t kernel[2], stride[2], dilation[2], pads[2];  // rows, columns; pads: top, left
    int32_t edges[4];               // top, left, bottom, right
    int32_t lo, hi;                 // clamp of the result
    int32_t slot, value, mode;      // mode: EltwiseKind, or 1 for bilinear
    int32_t count;                  // entries, factors or tables: 1 or one a channel
    int32_t steps[2];               // COPY: from channel to channel of x and y; INPUT, OUTPUT: see there
    int32_t zeros[2];               // ELTWISE: taken from the codes of x and z
    const int8_t *weights;          // CONV: OHWI; else one filter after another
    const int64_t *bias;
    const int32_t *right, *multiplier, *out;  // shifts and multipliers
    const int32_t *factors, *more_factors;    // of z; ELTWISE: of x and z
    const int8_t *tables;           // [count][256], index code + 128
    const int32_t *positions;       // RESIZE: low, high, fraction of the rows, then of the columns
};

}  // namespace kernels

struct Plan;
struct Frame;

extern "C" {
// {ABI, sizeof TensorSpec, sizeof OpSpec, Kind's number}
void kernels_layout(int32_t out[4]);
// Names of the instruction sets that were built, separated by spaces; and whether this machine has one.
const char *kernels_built();
int kernels_runs(const char *set);
// Widened codes that a set wants for dense convolutions of codes with zero 128.
int kernels_widens(const char *set);

Plan *plan_new(const char *set, const kernels::TensorSpec *tensors, int count, const kernels::OpSpec *ops,
               int op_count, int64_t arena_bytes);
void plan_free(Plan *);
int64_t plan_bytes(const Plan *);  // of packed weights and constants

int64_t frame_bytes(const Plan *, int frames);  // of memory for `frames` at once
// Runs `frames` at once, in `memory` of `frame_bytes` that frames may share which never run at the
// same time, or in its own (null). Null: no memory.
Frame *frame_new(const Plan *, int frames, void *memory);
void frame_free(Frame *);
// inputs and outputs: by slot; frames of a call lie one behind the other in each.
void frame_run(Frame *, const void *const *inputs, void *const *outputs, int threads);
void frame_profile(Frame *, double *ns);  // fastest time of each operation so far, of calls on one thread

// Of float32 values, given as their bits. The bits of the greatest magnitude (of NaN if there is one):
int32_t magnitude_highest(const int32_t *bits, int64_t size);
// Adds each value to the bin (bits of its magnitude >> 12) - base, or the nearest there is. size < 2^34.
void magnitude_count(const int32_t *bits, int64_t size, int32_t base, int32_t bins, int64_t *counts);
}
