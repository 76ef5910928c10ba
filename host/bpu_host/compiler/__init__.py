"""The compiler: float ONNX in, quantized program out."""

from bpu_host import late_imports

late_imports.install()  # before anything of it imports onnx_ir
