"""OpenBPU in Python: convert a model, run it here or on a board, measure it.

    import openbpu

    converted = openbpu.convert("net.onnx", "photos")   # float ONNX -> model_output/net.bin
    result = converted("cat.jpg")                       # here, by the simulated chip's arithmetic
    with openbpu.Board() as board:                      # the only board, or the one of BPU_BOARD
        board.deploy(converted.path)
        result = board.infer("net", "cat.jpg")
        print(board.perf("net", threads=4))

Wherever an input is meant, a NumPy array, a picture (Pillow image, RGB array), a path of either or
a `FrameInput` will do (docs/python-api.md). Every failure is a `BpuError` with the next step.
"""

from bpu_common import __version__
from bpu_common.errors import BpuError
from bpu_common.frame import FrameInput, Roi
from openbpu.aio import AsyncBoard
from openbpu.board import Board
from openbpu.choices import Input
from openbpu.conversion import Converted, convert
from openbpu.model import Model
from openbpu.results import Measured, Result

__all__ = [
    "AsyncBoard",
    "Board",
    "BpuError",
    "Converted",
    "FrameInput",
    "Input",
    "Measured",
    "Model",
    "Result",
    "Roi",
    "__version__",
    "convert",
]
