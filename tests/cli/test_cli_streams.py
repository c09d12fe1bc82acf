"""Standard streams that are full, closed or no longer read cost nothing that was found."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

import nas_plugins as nap
from nas_plugins.cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the shell's redirections are POSIX")

SEARCH = "search --space nasbench201 --evaluator sum --objective score:max --trials 3 --out out"


@contextlib.contextmanager
def bad(kind: str) -> Iterator[TextIO | None]:
    """A stream that is full, closed, or that nobody reads."""
    if kind == "closed":
        yield None
        return
    reading, writing = os.pipe()
    os.close(reading)
    with (
        contextlib.suppress(OSError),
        open("/dev/full" if kind == "full" else writing, "w", encoding="utf-8") as stream,
    ):
        yield stream


COMMANDS: list[tuple[str, ...]] = [
    ("--help",),
    ("list", "strategies"),
    ("list", "strategies", "--json"),
    ("data", "list"),
    ("data", "path", "--json"),
    ("reproduce",),
    ("sample", "--space", "nasbench201", "-n", "2", "--out", "kept"),
    ("score", "--space", "nasbench201", "--n", "1", "--proxies", "params", "--preset", "smoke",
     "--no-cache", "--workers", "1", "--out", "kept.csv"),
    ("report", "--result", "r", "--out", "kept.html"),
    ("search", "--benchmark", "nasbench201/cifar10", "--objective", "val_accuracy", "--strategy",
     "random", "--trials", "2", "--out", "kept", "--json"),
    ("no-such-command",),
]  # fmt: skip


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has such a device")
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words[:2]).strip("-"))
def test_no_stream_costs_any_command_what_it_has_done(
    words: tuple[str, ...], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "r")
    writes, unknown = "--out" in words, words[0].startswith("no-")
    prints = words[0] == "search" or not writes
    for output, errors in (("full", "unread"), ("unread", "closed"), ("closed", "full")):
        with bad(output) as out, bad(errors) as err, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = main(words)
        assert code == (2 if unknown else 5 if output == "full" and prints else 0), output
        kept = [file for file in tmp_path.rglob("*") if "kept" in str(file) and file.is_file()]
        assert bool(kept) is writes
        for file in kept:
            file.unlink()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a search."""
    out = tmp_path_factory.mktemp("made") / "r"
    nap.search("nasbench201/cifar10", objectives="val_accuracy", trials=2, seed=0,
               strategy="random", out=out, progress=False)  # fmt: skip
    return out


@pytest.mark.parametrize(
    ("redirected", "code"),
    [
        ("2>&-", 0),
        (">&- 2>&-", 0),
        (">/dev/full", 5),
        ("| exec 0<&-", 0),
    ],
)
def test_a_stream_never_costs_the_result(
    plugin_folder: Path, tmp_path: Path, redirected: str, code: int
) -> None:
    if "/dev/full" in redirected and not os.path.exists("/dev/full"):
        pytest.skip("only Linux has a device that is always full")
    command = f"{shlex.quote(sys.executable)} -m nas_plugins {SEARCH} {redirected}"
    path = os.pathsep.join([str(plugin_folder), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    if code and "2>" not in redirected:
        assert "error: standard output cannot be written: No space left" in ran.stderr
    assert len(nap.SearchResult.load(tmp_path / "out").history.complete) == 3
