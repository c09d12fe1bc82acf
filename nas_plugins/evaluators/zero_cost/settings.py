"""On what the proxies are computed: input, size of the network, device. Plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nas_plugins._checks import at_least, integers, plain
from nas_plugins.errors import unknown_name, unknown_option

INPUTS = ("noise", "digits")
SIZES = ("small", "full", "tiny")
PRECISIONS = ("float32", "bfloat16")

_LEAST = {"batch_size": 2, "resolution": 4, "channels": 1, "cells": 1, "classes": 2, "seed": 0}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How architectures are scored. The defaults are the preset ``fast``.

    Attributes:
        input: ``"noise"``: standard normal pixels; ``"digits"``: scikit-learn's digits, scaled
            up. A batch that the user passes replaces it.
        batch_size: Images.
        resolution: Height and width of the images in pixels.
        size: Which width and depth a network gets where `channels` or `cells` is ``None``:
            ``"full"`` is that of the published proxies, ``"small"`` keeps the depth, ``"tiny"``
            is for tests; see `nas_plugins.evaluators.zero_cost.networks`.
        channels: Width of the network's first stage.
        cells: Cells per stage, or layers where the space counts these.
        classes: Outputs of the classifier.
        seed: Of the images, and with the architecture's name of its weights.
        device: As PyTorch names it, e.g. ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        precision: ``"float32"``, or ``"bfloat16"`` for the proxies whose ranks it keeps.
        channels_last: Memory layout of the images; ``None`` chooses the faster one.
    """

    input: str = "noise"
    batch_size: int = 16
    resolution: int = 16
    size: str = "small"
    channels: int | None = None
    cells: int | None = None
    classes: int = 10
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool | None = None

    def __post_init__(self) -> None:
        for name, known in (("input", INPUTS), ("size", SIZES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise unknown_name(f"`{name}`", str(getattr(self, name)), known)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None or name not in ("channels", "cells"):
                integers(**{name: value})
                at_least(least, **{name: value})
        if self.channels_last not in (None, True, False):
            raise TypeError(f"`channels_last` must be true, false or None, got "
                            f"{self.channels_last!r}")  # fmt: skip
        if not isinstance(self.device, str) or not self.device:
            raise TypeError(f"`device` must be the name of a device, got {self.device!r}")

    @classmethod
    def of(cls, preset: str = "fast", **overrides: Any) -> Settings:
        """Returns a preset with some fields set otherwise.

        Args:
            preset: A key of `PRESETS`.
            **overrides: Fields of this class.

        Raises:
            UnknownNameError: There is no such preset or field; suggests the nearest.
            ValueError: A value is out of range.
            TypeError: A value has the wrong type.
        """
        if preset not in PRESETS:
            raise unknown_name("`preset`", preset, PRESETS)
        known = [field.name for field in fields(cls)]
        for name in overrides:
            if name not in known:
                raise unknown_option("zero-cost", name, known)
        return cls(**{**PRESETS[preset], **plain(overrides)})

    def digest(self, **more: str) -> str:
        """16 hexadecimal digits that differ where values may differ.

        Args:
            **more: What else decides the values, e.g. the digest of a batch.
        """
        told = {**asdict(self), **more, "device": self.device.partition(":")[0]}
        text = json.dumps(told, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fast": {},
    "published": {"batch_size": 64, "resolution": 32, "size": "full"},
    "smoke": {"batch_size": 8, "resolution": 8, "size": "tiny"},
}
"""``fast``: a fortieth of the cost and nearly the same ranks; ``published``: sizes of
NAS-Bench-Suite-Zero; ``smoke``: only good for tests."""

RANKING = ("az_progressivity", "synflow")
"""Proxies that rank candidates for a warm start, chosen on CIFAR-10 of NAS-Bench-201."""
FEATURES = ("flops", "jacov", "l2_norm", "meco", "n_layers", "nwot", "params", "swap", "synflow")
"""Proxies that need a forward pass or an input gradient at most, for a surrogate."""
