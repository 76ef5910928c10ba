"""Layers that OpenCV computes from the same two files, in the forms of the chip's table."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One layer: the shapes it reads, its parameters, the shapes of its blobs.

    Attributes:
        like: what the blobs must be: `positive` where they are variances or scales.
    """

    kind: str
    bottoms: tuple[tuple[int, ...], ...]
    more: str = ""
    blobs: tuple[tuple[int, ...], ...] = ()
    tops: int = 1
    like: str = ""
    tag: str = field(default="")

    @property
    def name(self) -> str:
        return f"{self.kind} {self.more}"[:90]


def _conv(more: str, blobs: tuple[tuple[int, ...], ...], shape=(1, 4, 9, 8), kind="Convolution"):
    return Case(kind, (shape,), f"convolution_param {{ {more} }}", blobs)


def _pool(more: str, shape=(1, 3, 9, 8)):
    return Case("Pooling", (shape,), f"pooling_param {{ {more} }}")


def _one(kind: str, more: str = "", blobs=(), shape=(1, 3, 5, 4), tops=1, like=""):
    return Case(kind, (shape,), more, blobs, tops, like)


CONVOLUTIONS = (
    _conv("num_output: 6 kernel_size: 3", ((6, 4, 3, 3), (6,))),
    _conv("num_output: 6 kernel_size: 3 stride: 2 pad: 1 bias_term: false", ((6, 4, 3, 3),)),
    _conv("num_output: 6 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 stride_h: 2 stride_w: 1",
          ((6, 4, 3, 1), (6,))),
    _conv("num_output: 6 kernel_size: 3 dilation: 2 pad: 2", ((6, 4, 3, 3), (6,))),
    _conv("num_output: 6 kernel_size: 3 group: 2", ((6, 2, 3, 3), (6,))),
    _conv("num_output: 4 kernel_size: 3 group: 4", ((4, 1, 3, 3), (4,))),
    _conv("num_output: 6 kernel_size: 3 axis: 1 engine: CAFFE", ((6, 4, 3, 3), (6,))),
    _conv("num_output: 6 kernel_size: 4 stride: 2 pad: 1", ((4, 6, 4, 4), (6,)),
          kind="Deconvolution"),
    _conv("num_output: 6 kernel_size: 4 stride: 2 pad: 1 bias_term: false", ((4, 6, 4, 4),),
          kind="Deconvolution"),
    _conv("num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false",
          ((4, 1, 4, 4),), kind="Deconvolution"),
)  # fmt: skip

POOLINGS = (
    _pool("pool: MAX kernel_size: 2 stride: 2"),
    _pool("pool: MAX kernel_size: 3 stride: 2"),
    _pool("pool: MAX kernel_size: 3 stride: 2 pad: 1"),
    _pool("pool: MAX kernel_size: 3 stride: 2 pad: 1", (1, 3, 10, 11)),
    _pool("pool: MAX kernel_size: 2 stride: 2 pad: 1", (1, 3, 7, 8)),
    _pool("pool: MAX kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0"),
    _pool("pool: AVE kernel_size: 3 stride: 2"),
    _pool("pool: AVE kernel_size: 3 stride: 2", (1, 3, 10, 8)),
    _pool("pool: AVE kernel_size: 3 stride: 2 pad: 1", (1, 3, 10, 8)),
    _pool("pool: AVE kernel_size: 3 stride: 1 pad: 1"),
    _pool("pool: AVE global_pooling: true"),
    _pool("pool: MAX global_pooling: true"),
)

POINTWISE = (
    _one("ReLU"),
    _one("ReLU", "relu_param { negative_slope: 0.1 }"),
    _one("ReLU6"),
    _one("PReLU", "", ((3,),)),
    _one("PReLU", "prelu_param { channel_shared: true }", ((1,),)),
    _one("ELU", "elu_param { alpha: 0.7 }"),
    _one("Sigmoid"),
    _one("TanH"),
    _one("AbsVal"),
    _one("BNLL"),
    _one("Power", "power_param { power: 2 scale: 0.5 shift: 3 }"),
    _one("Power", "power_param { scale: 0.5 shift: 3 }"),
    _one("Power", "power_param { scale: 0.5 }"),
    _one("Power", "power_param { shift: 0.5 }"),
    _one("Exp", "exp_param { base: 2 scale: 0.5 shift: 0.25 }"),
    _one("Exp"),
    _one("Dropout", "dropout_param { dropout_ratio: 0.3 }"),
    _one("Dropout", "dropout_param { dropout_ratio: 0.3 scale_train: false }"),
    _one("Swish"),
)

AFFINE = (
    _one("InnerProduct", "inner_product_param { num_output: 5 }", ((5, 60), (5,))),
    _one("InnerProduct", "inner_product_param { num_output: 5 bias_term: false }", ((5, 60),)),
    _one("InnerProduct", "inner_product_param { num_output: 5 axis: 2 }", ((5, 20), (5,))),
    _one("BatchNorm", "", ((3,), (3,), (1,)), like="positive"),
    _one("BatchNorm", "batch_norm_param { use_global_stats: true eps: 0.01 }",
         ((3,), (3,), (1,)), like="positive"),
    _one("Scale", "", ((3,),)),
    _one("Scale", "scale_param { bias_term: true }", ((3,), (3,))),
    Case("Scale", ((1, 3, 5, 4), (1, 3)), "scale_param { axis: 0 }"),
    Case("Eltwise", ((1, 3, 5, 4),) * 2),
    Case("Eltwise", ((1, 3, 5, 4),) * 3, "eltwise_param { operation: SUM }"),
    Case("Eltwise", ((1, 3, 5, 4),) * 2, "eltwise_param { coeff: 2 coeff: -0.5 }"),
    Case("Eltwise", ((1, 3, 5, 4),) * 2, "eltwise_param { coeff: 1 coeff: -1 }"),
    Case("Eltwise", ((1, 3, 5, 4),) * 2, "eltwise_param { operation: PROD }"),
    Case("Eltwise", ((1, 3, 5, 4),) * 2, "eltwise_param { operation: MAX }"),
)  # fmt: skip

REARRANGE = (
    Case("Concat", ((1, 3, 5, 4), (1, 2, 5, 4))),
    Case("Concat", ((1, 3, 5, 4), (1, 3, 2, 4)), "concat_param { axis: 2 }"),
    Case("Concat", ((1, 3, 5, 4), (1, 3, 5, 2)), "concat_param { axis: -1 }"),
    _one("Slice", "slice_param { slice_point: 1 slice_point: 3 }", shape=(1, 6, 5, 4), tops=3),
    _one("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }"),
    _one("Reshape", "reshape_param { shape { dim: 4 dim: -1 } axis: 1 }"),
    _one("Reshape", "reshape_param { shape { dim: 2 dim: 2 } axis: 3 num_axes: 1 }"),
    _one("Flatten"),
    _one("Flatten", "flatten_param { axis: 2 }"),
    _one("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"),
    Case("Crop", ((1, 3, 7, 8), (1, 3, 5, 4)), "crop_param { axis: 2 offset: 1 offset: 2 }"),
    Case("Crop", ((1, 3, 7, 8), (1, 3, 5, 4)), "crop_param { axis: 2 offset: 1 }"),
    _one("Reorg", "reorg_param { stride: 2 }", shape=(1, 8, 6, 4)),
)

STATISTICS = (
    _one("Softmax"),
    _one("Softmax", "softmax_param { axis: 3 }"),
    _one("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 }", shape=(1, 6, 5, 4)),
    _one("LRN", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }"),
    _one("MVN"),
    _one("MVN", "mvn_param { across_channels: true }"),
    _one("MVN", "mvn_param { normalize_variance: false }"),
    _one("Normalize", "norm_param { across_spatial: false channel_shared: false }", ((3,),)),
    _one("Normalize", "norm_param { across_spatial: true channel_shared: true }", ((1,),)),
)

DETECTION = (
    Case("PriorBox", ((1, 3, 4, 5), (1, 3, 64, 80)),
         "prior_box_param { min_size: 10 max_size: 20 aspect_ratio: 2 variance: 0.1 }"),
    Case("PriorBox", ((1, 3, 4, 5), (1, 3, 64, 80)),
         "prior_box_param { min_size: 10 min_size: 15 max_size: 20 max_size: 30 aspect_ratio: 2 "
         "aspect_ratio: 3 flip: false clip: true offset: 0.25 step: 12 variance: 0.1 "
         "variance: 0.1 variance: 0.2 variance: 0.2 }"),
    Case("Interp", ((1, 3, 5, 4),), "interp_param { height: 9 width: 11 }"),
    Case("Interp", ((1, 3, 5, 4),), "interp_param { zoom_factor: 2 }"),
)  # fmt: skip

CASES = (
    *CONVOLUTIONS, *POOLINGS, *POINTWISE, *AFFINE, *REARRANGE, *STATISTICS, *DETECTION
)  # fmt: skip
