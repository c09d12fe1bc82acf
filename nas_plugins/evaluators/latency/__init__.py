"""Latency of an architecture: looked up, measured on this machine, or predicted.

`table` looks up published device tables, `measured` times networks with PyTorch or ONNX
Runtime, and `model` fits an additive model of a device to a few measurements.
"""

from __future__ import annotations
