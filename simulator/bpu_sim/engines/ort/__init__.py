"""Networks in onnxruntime: integers computed in floating point, bit for bit what `arith` says.

Every tensor holds integers (or multiples of a power of two) that float32 or float64 keeps without
loss, so the bits are the same on every CPU and in every order of addition. That holds for networks
as `bpu_common.network.check` lets them pass: no accumulator leaves int32, factors are int8.

    ranges -> plans <- stage     how each operation is computed: its constants, searched and proved
                |      hints     the same constants out of a file, proved and never believed
                v
    graph -> strips -> slices    which tensors are cut for the caches of this machine
          -> dispatch -> bodies  one operation as ONNX nodes, with `requant`, `phases`, `edges`

Plans depend on the network alone; how tensors are cut depends on the machine too (`caches`).
"""

from bpu_sim.engines.ort.part import OrtPart
from bpu_sim.engines.ort.plans import Plans

__all__ = ["OrtPart", "Plans"]
