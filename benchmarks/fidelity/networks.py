"""The published networks by name, and those of them that boards ran without their Dequantize."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import onnx

from benchmarks.fidelity.mobile import mobilenet_v2_caffe
from benchmarks.fidelity.residual import centernet_resnet50, resnet18, se_resnet50
from benchmarks.fidelity.yolo import yolov3, yolov5, yolov8n
from benchmarks.networks import efficientnet_lite, mobilenet_v1, repvgg_a1

NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2_caffe": mobilenet_v2_caffe,
    "resnet18": resnet18,
    "se_resnet50": se_resnet50,
    **{f"efficientnet_lite{i}": partial(efficientnet_lite, i) for i in (0, 1, 3, 4)},
    "repvgg_a1": repvgg_a1,
    "yolov3": yolov3,
    "centernet_resnet50": centernet_resnet50,
    "yolov5n": partial(yolov5, "yolov5n", 0.25, 0.33),
    "yolov5s": partial(yolov5, "yolov5s", 0.5, 0.33),
    "yolov5x": partial(yolov5, "yolov5x", 1.25, 1.33),
    "yolov8n": yolov8n,
}

WITHOUT_DEQUANTIZE = frozenset({"yolov8n"})
