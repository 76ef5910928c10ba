"""Which function writes which type of layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bpu_host.compiler.frontend.caffe.layers import (
    activations,
    affine,
    priors,
    rearrange,
    recurrent,
    regions,
    resampling,
    statistics,
    windows,
)
from bpu_host.compiler.frontend.caffe.site import Site

WRITERS: Mapping[str, Callable[[Site], None]] = MappingProxyType(
    {
        "AbsVal": activations.plain("Abs"),
        "ArgMax": statistics.argmax,
        "BNLL": activations.plain("Softplus"),
        "BatchNorm": affine.batch_norm,
        "Bias": affine.bias,
        "CReLU": activations.crelu,
        "Clip": activations.clip,
        "Concat": rearrange.concat,
        "Convolution": windows.convolution,
        "ConvolutionDepthwise": windows.convolution,
        "Crop": rearrange.crop,
        "Deconvolution": windows.deconvolution,
        "DepthwiseConvolution": windows.convolution,
        "Dropout": activations.dropout,
        "ELU": activations.elu,
        "Eltwise": affine.eltwise,
        "Exp": activations.exponential,
        "Flatten": rearrange.flatten,
        "InnerProduct": affine.inner_product,
        "Interp": resampling.interp,
        "LRN": statistics.lrn,
        "LSTM": recurrent.lstm,
        "Log": activations.logarithm,
        "MVN": statistics.mvn,
        "MatMul": affine.matmul,
        "MaxUnpool": resampling.unpool,
        "Normalize": statistics.normalize,
        "PReLU": activations.prelu,
        "PSROIPooling": regions.position_sensitive,
        "PassThrough": rearrange.pass_through,
        "Permute": rearrange.permute,
        "Pooling": windows.pooling,
        "Power": activations.power,
        "PriorBox": priors.prior_box,
        "ROIPooling": regions.roi_pooling,
        "RReLU": activations.rrelu,
        "ReLU": activations.relu,
        "ReLU6": activations.relu6,
        "Reduction": statistics.reduction,
        "Reorg": rearrange.reorg,
        "Reshape": rearrange.reshape,
        "SPP": windows.pyramid,
        "Scale": affine.scale,
        "Sigmoid": activations.plain("Sigmoid"),
        "Slice": rearrange.slices,
        "Softmax": statistics.softmax,
        "Split": rearrange.split,
        "Swish": activations.swish,
        "TanH": activations.plain("Tanh"),
        "Threshold": activations.threshold,
        "Tile": rearrange.tile,
        "Upsample": resampling.upsample,
    }
)
"""By Caffe's type; `Input`, `Silence` and `DetectionOutput` are seen to before (`network.py`)."""
