// The kernels of one instruction set, by kind.
#pragma once
#include "dense.hpp"
#include "depthwise.hpp"
#include "lookup.hpp"
#include "pointwise.hpp"
#include "spatial.hpp"

// V: the widest vectors; WHOLE, HALF, QUARTER: those of depthwise blocks; SMALL: for few channels;
// LUT: for look-ups.
#define KERNEL_TABLE(V, WHOLE, HALF, QUARTER, SMALL, LUT)                                        \
    {nullptr, nullptr, run_border, run_fill, run_widen, run_dense<V>,                         \
     run_depthwise<WHOLE, HALF, QUARTER>, run_channelwise, run_mix<V>, run_requant,           \
     run_eltwise, run_uniform<V, false>, run_uniform<V, true>, run_pool<V>, LUT,              \
     run_resize<SMALL>, run_copy}
