"""What the published networks need beyond `benchmarks.networks.Builder`."""

from __future__ import annotations

import math

import numpy as np
import onnx

from benchmarks.networks import INPUT, Builder

__all__ = ["INPUT", "NetBuilder"]


class NetBuilder(Builder):
    """Layers of detectors and of squeeze-and-excite blocks."""

    def silu(self, x: str) -> str:
        """x * sigmoid(x), the two nodes that PyTorch exports."""
        return self.mul(x, self.activation(x, "sigmoid"))

    def conv_silu(self, x: str, channels: int, kernel: int = 1, stride: int = 1) -> str:
        """YOLO's Conv: convolution with folded norm, then SiLU."""
        return self.silu(self.conv(x, channels, kernel, stride, norm=False))

    def mul(self, a: str, b: str) -> str:
        """Element by element; `b` may be one value per channel."""
        return self._node("Mul", [a, b], self.shapes[a])

    def global_pool(self, x: str) -> str:
        """Mean over height and width."""
        return self._node("GlobalAveragePool", [x], (self.shapes[x][0], 1, 1))

    def smooth_pool(self, x: str, kernel: int) -> str:
        """Maximum over a window around each pixel."""
        return self._node(
            "MaxPool",
            [x],
            self.shapes[x],
            kernel_shape=[kernel, kernel],
            pads=[kernel // 2] * 4,
        )

    def transposed(self, x: str, channels: int, act: str = "relu") -> str:
        """4x4 transposed convolution of stride 2, batch norm, activation."""
        in_channels, height, width = self.shapes[x]
        name = f"deconv{len(self._nodes)}"
        weights = self._normal((in_channels, channels, 4, 4), math.sqrt(1 / (4 * in_channels)))
        y = self._node(
            "ConvTranspose",
            [x, self._constant(f"{name}.weight", weights)],
            (channels, 2 * height, 2 * width),
            name,
            kernel_shape=[4, 4],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        )
        return self.activation(self._norm(y, name), act)

    def split(self, x: str) -> tuple[str, str]:
        """The two halves of the channels."""
        channels, height, width = self.shapes[x]
        half = channels // 2
        found = []
        for start in (0, half):
            tag = f"split{len(self._nodes)}"
            names = [
                self._constant(f"{tag}.{key}", np.array([value], np.int64))
                for key, value in (("starts", start), ("ends", start + half), ("axes", 1))
            ]
            found.append(self._node("Slice", [x, *names], (half, height, width)))
        return found[0], found[1]

    def nhwc_heads(self, heads: list[str]) -> onnx.ModelProto:
        """The model whose outputs are `heads` in the chip's own order."""
        outputs = {}
        for head in heads:
            channels, height, width = self.shapes[head]
            y = self._node("Transpose", [head], (channels, height, width), perm=[0, 2, 3, 1])
            outputs[y] = [1, height, width, channels]
        return self.model(outputs)
