"""What was measured on, in words: processor or accelerator, threads, library."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


@lru_cache(maxsize=1)
def processor() -> str:
    """Model of this machine's processor and its architecture, e.g. ``"AMD EPYC (x86_64)"``."""
    machine = platform.machine() or "unknown architecture"
    return f"{_model() or platform.processor() or 'CPU'} ({machine})"


def _model() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # only Linux has it
        return ""
    found = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in found if key.strip() == "model name"), "")


def release(package: str) -> str:
    """Name and version of an installed package, e.g. ``"torch 2.13.0"``."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
