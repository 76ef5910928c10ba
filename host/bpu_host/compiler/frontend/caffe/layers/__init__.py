"""Caffe's layers as ONNX nodes, one file a family.

A function of a family writes one layer: it reads parameters, weights and shapes from its `Site`,
adds nodes and ends with `Site.end`. What a layer computes is defined by BVLC Caffe 1.0; where a
layer comes from a fork, its function says which.
"""
