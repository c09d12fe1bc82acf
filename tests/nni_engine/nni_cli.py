"""Ways to run the command line on NNI, and an evaluator that misbehaves as told."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from command_line import Ran, install

from nas_plugins.cli import main

_PLUGIN = """
import os, time
from nas_plugins.protocols import Metric


class Sum:
    def __init__(self, *, seconds=0.0, score=None, fail_from=None, api_key=None,
                 key_length=None):
        self.seconds, self.score, self.fail_from = seconds, score, fail_from
        if key_length is not None and len(api_key) != key_length:
            raise ValueError(f"`api_key` must have {key_length} characters, got {api_key!r}")
        self.told = (api_key or "") + os.environ.get("TOY_API_KEY", "")

    @property
    def metrics(self):
        return (Metric("score", "", "max", "sum"), Metric("cost", "ms", "min", "weighted sum"))

    def __repr__(self):
        return "Sum()"

    def evaluate(self, architectures):
        return [self._one(a) for a in architectures]

    def _one(self, architecture):
        time.sleep(self.seconds)
        score = float(sum(architecture.indices))
        if self.fail_from is not None and score >= self.fail_from:
            raise RuntimeError(f"no memory for {architecture}{self.told}")
        cost = float(sum((i + 1) * index for i, index in enumerate(architecture.indices)))
        return {"score": score if self.score is None else float(self.score), "cost": cost}
"""


def plugin_site(folder: Path) -> Path:
    """Makes a folder for ``sys.path`` with a distribution whose evaluator is called ``sum``."""
    return install(folder, "nni_cli_plugin", _PLUGIN, "sum = nni_cli_plugin:Sum")


def run(*words: object) -> Ran:
    """Runs the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Ran(code, out.getvalue(), err.getvalue())


def start(plugins: Path, folder: Path, *words: object) -> subprocess.Popen[str]:
    """Starts it as a process of its own; what it writes goes to files, which nobody must read.

    A service that outlives it would keep a pipe open.
    """
    path = os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "nas_plugins", *map(str, words)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        )


def ended(process: subprocess.Popen[str], folder: Path, *, seconds: float = 300.0) -> Ran:
    """Waits for it."""
    code = process.wait(seconds)
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("out", "err")]
    return Ran(code, *texts)
