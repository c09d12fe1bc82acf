"""The official HW-NAS-Bench pickle (MIT): devices measured on NAS-Bench-201 and FBNet.

Li et al., "HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark", ICLR 2021.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._arrays import check_finite
from nas_plugins._reading import refusing
from nas_plugins.benchmarks.loaders import pickles
from nas_plugins.benchmarks.loaders.nb201 import SIZE
from nas_plugins.errors import DataError
from nas_plugins.spaces.fbnet import BLOCKS, SKIP, STEM_CHANNELS, FBNetShape, block_settings

_LAYOUT = "a pickle with the layout of HW-NAS-Bench 1.0"
_DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "ImageNet16-120"}


def convert(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Reads the NAS-Bench-201 part.

    The layout is ``["nasbench201"][data set][metric]``, one list of 15,625 numbers per metric
    in the benchmark's index order (``edgegpu_latency`` in ms, ``edgegpu_energy`` in mJ, ...)
    and ``config``, one dictionary per cell with its ``arch_str``.

    Returns:
        ``arch_str`` `(15625,)` and ``<data set>_<metric>`` `(15625,)`.

    Raises:
        DataError: The file is absent, torn, hostile or of another layout.
    """
    data = pickles.load(file)
    arrays: dict[str, npt.NDArray[Any]] = {}
    with refusing(file, _LAYOUT):
        spaces = data["nasbench201"]
        for dataset, key in _DATASETS.items():
            block = dict(spaces[key])
            strings = np.array([config["arch_str"] for config in block.pop("config")])
            if not np.array_equal(arrays.setdefault("arch_str", strings), strings):
                raise DataError(f"{file} orders the cells of {key} differently")
            for name, values in block.items():
                arrays[f"{dataset}_{name}"] = np.array(values, dtype=np.float64)
    check_finite(file, **{name: column for name, column in arrays.items() if name != "arch_str"})
    for name, column in arrays.items():
        if column.shape != (SIZE,):
            raise DataError(f"{file}: {name!r} must hold {SIZE:,} entries, got {column.shape}")
    return arrays


def convert_fbnet(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Reads the FBNet part as additive tables, in the CIFAR-100 setting.

    The layout is ``["fbnet"][metric]``, a dictionary from a written layer, such as
    ``ConvBlock_H32_W32_Cin16_Cout16_exp1_kernel3_stride1_group1``, to its cost. The cost of an
    architecture is the sum over stem, 22 layers, head, pooling and classifier.

    Returns:
        ``<metric>_constant`` `()` and ``<metric>_blocks`` `(22, 9)`.

    Raises:
        DataError: The file is absent, torn, hostile or of another layout.
    """
    data = pickles.load(file)
    arrays: dict[str, npt.NDArray[Any]] = {}
    fixed, layers = _fbnet_layers()
    with refusing(file, _LAYOUT):
        for metric, costs in data["fbnet"].items():
            constant = sum(float(costs[name]) for name in fixed)
            blocks = [[float(costs[name]) for name in names] for names in layers]
            arrays[f"{metric}_constant"] = np.array(constant)
            arrays[f"{metric}_blocks"] = np.array(blocks)
    check_finite(file, **arrays)
    return arrays


def _fbnet_layers() -> tuple[list[str], list[list[str]]]:
    """Written names of the fixed layers, and of the nine blocks in each of the 22 layers."""
    shape = FBNetShape.of(stem="cifar")
    side = shape.resolution
    fixed = [
        f"ConvNorm_H{side}_W{side}_Cin3_Cout{STEM_CHANNELS}"
        f"_kernel3_stride{shape.stem_stride}_group1"
    ]
    side //= shape.stem_stride
    layers = []
    for layer in shape.layers:
        place = f"_H{side}_W{side}_Cin{layer.inputs}_Cout{layer.outputs}"
        names = []
        for block in BLOCKS:
            if block == SKIP:
                names.append(f"Skip{place}_stride{layer.stride}")
                continue
            kernel, expansion, groups = block_settings(block)
            names.append(
                f"ConvBlock{place}_exp{expansion}_kernel{kernel}"
                f"_stride{layer.stride}_group{groups}"
            )
        layers.append(names)
        side //= layer.stride
    last, head = shape.layers[-1].outputs, shape.head_channels
    fixed += [
        f"ConvNorm_H{side}_W{side}_Cin{last}_Cout{head}_kernel1_stride1_group1",
        f"AvgP_H{side}_W{side}_Cin{head}_Cout{head}_kernel{side}_stride1",
        f"FC_Cin{head}_Cout{shape.classes}",
    ]
    return fixed, layers
