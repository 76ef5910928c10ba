// A packed network: what all instruction sets share.
//
// Activations are bytes u = code + zero in NHWC order, channels padded to `pitch` bytes, with borders
// where a window reads past an edge. zero is 0 for codes that are never negative and 128 for others,
// so that u is unsigned. Every place is relative to the arena of a frame: a plan never changes.
#pragma once
#include "abi.hpp"
#include "memory.hpp"

namespace kernels {

struct Clamp { int lo, hi, flip; };  // flip: 0x80 where the result has zero 128

// Consecutive output channels of a dense or depthwise convolution. Lane order: see `pack.hpp`.
struct Block {
    int first, vectors, pixels;  // first channel; vectors of L lanes; pixels at a time
    const int8_t *weights;
    const int32_t *bias, *shift; // [vectors][L]
    const int16_t *multiplier;   // [2][2L] in the order of packs
    const int16_t *out;          // [2][2L] u = out shift - 16, or 2^(16 - u) without 16-bit shifts
    const int16_t *left;         // general: t = 16 - out shift, or 2^t
    const int16_t *limit;        // general: greatest magnitude before << t
    const int16_t *fix;          // general without 16-bit shifts: u, where it is below 2
};

enum { CACHE_LINE = 64 };        // bytes
enum { PIXELS = 24 };            // threads take whole tiles of every size

struct Dense {
    int64_t first;               // from x's pixel (0, 0) to the first window
    const int64_t *runs;         // offsets of a window's runs of bytes
    int run_count, steps;        // steps of 4 bytes in a run
    int block_count;
    const Block *blocks;
    bool is_signed, general, wide;
    bool by_block;               // parts are blocks of channels; else pixels
    Clamp clamp;
};

struct Depthwise {
    int64_t first;
    int kernel_h, kernel_w, stride, rows;  // rows: output rows at a time, 1 or 2
    int block_count;
    const Block *blocks;         // vectors: 4 (all lanes), 2 (half the width), 1 (a quarter)
    bool is_signed, general;
    bool by_block;               // parts are blocks of channels; else rows
    Clamp clamp;
};

struct Channelwise {
    const int32_t *bias;         // [channels of 16]
    const int8_t *weights;       // [tap][channels of 16]
    const int64_t *taps;         // offsets from the window's first byte
    int tap_count;
    int64_t first;
};

struct Mix {
    int32_t weights[4], bias[4], shift[4];  // weights: 4 bytes each
    int16_t multiplier[4], out[4];
    Clamp clamp;
};

struct Entries {                 // arrays of one value a channel, channels of 16
    const int32_t *a, *b, *bias, *right, *multiplier, *out;
    int kind, zero_a, zero_b;
    Clamp clamp;
};

struct Uniform {                 // one set of parameters, right shift 0, all within 16 bits
    int a, b, bias, multiplier, out;
    Clamp clamp;
};

struct Op {
    OpSpec spec;
    TensorSpec x, y, z;
    const void *work;            // what the kind needs, packed
    int parts;                   // pieces that threads may share
};

using Kernel = void (*)(const Op &, uint8_t *arena, int part, int parts);

struct InstructionSet {
    const char *name;
    int lanes;                   // of 32 bits
    bool shift16;                // has variable shifts of 16 bits
    bool signed_dot;             // takes signed inputs as such: no compensation in the bias
    bool widens;                 // dense convolutions of codes with zero 128 read int16
    int (*tile)(int vectors, int pixels);
    Kernel run[KINDS];           // null for INPUT and OUTPUT
};

extern const InstructionSet set_vnni, set_avxvnni, set_avx2, set_dot, set_neon;
const InstructionSet *find_set(const char *name);  // null: not built, or not on this machine
bool machine_has_vbmi();                           // beside VNNI

inline uint8_t *pixel(const TensorSpec &t, uint8_t *arena, int64_t y = 0, int64_t x = 0) {
    return arena + t.at + y * t.row + x * t.pitch;
}
// What is soon written: another core may have it, and stores wait for their cache lines one by one.
inline void own_line(const void *p) {
#if defined(__x86_64__)  // compilers leave it out for the oldest processors, which take it for nothing
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char *>(p)));
#else
    __builtin_prefetch(p, 1);
#endif
}
inline void own_lines(const uint8_t *p, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += CACHE_LINE) own_line(p + i);
}
inline int share(int64_t count, int part, int parts) { return int(count * part / parts); }
// Whether threads share the channels of what a convolution of one pixel makes here, since its weights
// most likely are more bytes than its input; kernels around it do the same, and find their lines in cache.
inline bool splits_channels(const TensorSpec &t) { return t.channels > t.height * t.width; }
inline int flip_of(const TensorSpec &t) { return t.zero ? 0x80 : 0; }

}  // namespace kernels

struct Plan {
    const kernels::InstructionSet *set;
    kernels::Pool pool;
    kernels::Op *ops;
    int op_count;
    int64_t arena_bytes;
};
