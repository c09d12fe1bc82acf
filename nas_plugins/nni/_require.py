"""Whether NNI can be used here, and a sentence that says what to do where it cannot."""

from __future__ import annotations

import platform
import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from nas_plugins.errors import MissingDependencyError

EXTRA = "pip install 'nas-plugins[nni]'"
MACHINES = ("x86_64", "amd64")
"""What NNI 3.0 has wheels for; there is no source distribution to build from."""

IMPORT_WARNINGS = r".* is found to be not a nn\.Module"
"""Two classes of newer PyTorch that NNI does not know at its import, and does not need to."""


def require_nni(*, nas: bool = True) -> None:
    """Raises a helpful error unless NNI 3 is installed.

    Args:
        nas: Whether ``nni.nas`` is needed too, which imports PyTorch Lightning.

    Raises:
        MissingDependencyError: NNI or a package it needs is absent, or NNI is older than 3.0.
    """
    if find_spec("nni") is None:
        raise MissingDependencyError(_absent())
    try:
        found = version("nni")
    except PackageNotFoundError:
        found = "of unknown version"
    if found.partition(".")[0] != "3":
        raise MissingDependencyError(
            f"nas_plugins.nni works with NNI 3.0, its last release; NNI {found} is installed: "
            f"{EXTRA}"
        )
    needed = {"torch": "torch", "pytorch_lightning": "pytorch-lightning"} if nas else {}
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        raise MissingDependencyError(
            f"`import nni.nas` needs {' and '.join(missing)}, which NNI does not declare: {EXTRA}"
        )


def quieten() -> None:
    """Hides the two warnings that NNI gives at its import with newer PyTorch."""
    warnings.filterwarnings("ignore", message=IMPORT_WARNINGS, category=RuntimeWarning)


def _absent() -> str:
    machine = platform.machine()
    if machine.lower() not in MACHINES:
        return (
            f"NNI is not installed, and its last release, 3.0, has packages for x86_64 only, "
            f"not for {machine or 'this machine'}; use nas_plugins.optuna, which runs the same "
            "strategies"
        )
    return f"nas_plugins.nni runs strategies in NNI experiments and needs NNI 3.0: {EXTRA}"
