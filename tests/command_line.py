"""Running the command line in tests, with plug-ins that are made for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nas_plugins.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command has left."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """What stands on the standard error stream, without what is said in a long silence."""
        lines = self.err.splitlines()
        return [line for line in lines if not re.search(r" \u00b7 \d+:\d\d:\d\d$", line)]

    @property
    def json(self) -> Any:
        """The one strict JSON document on the standard output stream."""

        def refuse(word: str) -> None:
            raise ValueError(f"{word} is not JSON")

        return json.loads(self.out, parse_constant=refuse)


Run = Callable[..., Ran]


def captured(capsys: pytest.CaptureFixture[str]) -> Run:
    """What runs the command line in this process."""

    def call(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Ran(code, *capsys.readouterr())

    return call


def install(folder: Path, module: str, source: str, evaluators: str) -> Path:
    """Makes a folder for ``sys.path`` with a distribution of one module.

    Args:
        folder: It is made if need be.
        module: Name of the module, and of the distribution.
        source: Its text.
        evaluators: Entry points, one per line.
    """
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    name = module.replace("_", "-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[nas_plugins.evaluators]\n{evaluators}\n")
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    return folder
