"""Caffe models (.prototxt and .caffemodel) as ONNX graphs."""

from bpu_host.compiler.frontend.caffe.read import read_caffe

__all__ = ["read_caffe"]
