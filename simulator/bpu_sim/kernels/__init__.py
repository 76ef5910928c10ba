"""Compiled int8 kernels: the chip's arithmetic on the CPU's vector instructions, bit for bit."""
