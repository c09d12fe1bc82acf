"""``nni.nas.strategy.ArchVQ`` resolves in either import order; nothing foreign is replaced.

Most of this runs beside a stand-in for NNI, so that it is quick and needs no NNI.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nas_plugins.errors import MissingDependencyError
from nas_plugins.nni import _hook, _require

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder with a package ``nni`` that has little but ``nni.nas.strategy``."""
    strategy = tmp_path / "nni" / "nas" / "strategy"
    strategy.mkdir(parents=True)
    (tmp_path / "nni" / "__init__.py").write_text("")
    (tmp_path / "nni" / "nas" / "__init__.py").write_text("")
    (strategy / "__init__.py").write_text("from .base import Strategy\nRegularizedEvolution = 1\n")
    (strategy / "base.py").write_text("Strategy = object\n")
    (strategy / "late.py").write_text("")
    return tmp_path


def run(code: str, *paths: Path) -> dict[str, Any]:
    """Runs `code` in a new process and returns what it leaves in ``result``."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT]))}
    program = f"result = {{}}\n{code}\nimport json\nprint(json.dumps(result))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# Stands for what needs the real NNI.
FAKE = """
import sys, types
named = types.ModuleType("nas_plugins.nni._named")
for name in ("ArchVQ", "ArchiveEvolution", "GraphGP", "LLMCoEvolution", "LocalSearch",
             "RandomSearch"):
    setattr(named, name, type(name, (), {}))
require = types.ModuleType("nas_plugins.nni._require")
require.require_nni = require.quieten = lambda **options: None
sys.modules |= {module.__name__: module for module in (named, require)}
"""
LOOK = """
import nni.nas.strategy
from nni.nas.strategy import ArchVQ, LocalSearch, Strategy
from nni.nas.strategy import late
result["same"] = ArchVQ is nni.nas.strategy.ArchVQ is named.ArchVQ
result["dir"] = [n for n in dir(nni.nas.strategy) if n in ("ArchVQ", "Strategy", "late")]
result["theirs"] = nni.nas.strategy.RegularizedEvolution
result["loader"] = type(nni.nas.strategy.__spec__.loader).__name__
result["left"] = [type(f).__name__ for f in sys.meta_path if "nas_plugins" in type(f).__module__]
try:
    nni.nas.strategy.ArchVQQ
except AttributeError as error:
    result["error"] = str(error)
"""


@pytest.mark.parametrize("hook", ["nas_plugins", "nas_plugins.nni"])
@pytest.mark.parametrize("order", ["hook first", "nni first", "twice"])
def test_names_resolve_in_either_import_order(hook: str, order: str, stand_in: Path) -> None:
    ours = f"import {hook}"
    again = ["import nas_plugins.nni", "nas_plugins.nni._hook.install()"]
    lines = {
        "hook first": [ours, "import nni.nas.strategy"],
        "nni first": ["import nni.nas.strategy", ours],
        "twice": [ours, *again, "import nni.nas.strategy", ours, *again],
    }[order]
    found = run("\n".join([FAKE, *lines, LOOK]), stand_in)
    assert found == {
        "same": True,
        "dir": ["ArchVQ", "Strategy", "late"],
        "theirs": 1,
        "loader": "SourceFileLoader",
        "left": [],
        "error": "module 'nni.nas.strategy' has no attribute 'ArchVQQ'",
    }


def test_importing_loads_nothing_heavy(stand_in: Path) -> None:
    code = """
import sys
before = set(sys.modules)
import nas_plugins
loaded = {m.partition(".")[0] for m in set(sys.modules) - before}
result["heavy"] = sorted(loaded & {"nni", "torch", "numpy", "logging"})
result["ours"] = sorted(m for m in sys.modules if m.startswith("nas_plugins.nni"))
"""
    found = run(code, stand_in)
    assert found == {"heavy": [], "ours": ["nas_plugins.nni", "nas_plugins.nni._hook"]}


def test_a_failed_import_of_nni_is_not_the_end(stand_in: Path) -> None:
    code = f"""{FAKE}
import nas_plugins.nni
from pathlib import Path
file = Path({str(stand_in)!r}) / "nni" / "nas" / "strategy" / "base.py"
good = file.read_text()
file.write_text("raise ImportError('broken')\\n")
try:
    import nni.nas.strategy
except ImportError as error:
    result["first"] = str(error)
file.write_text(good + "# again\\n")
import importlib
importlib.invalidate_caches()
from nni.nas.strategy import ArchVQ
result["second"] = ArchVQ.__name__
"""
    assert run(code, stand_in) == {"first": "broken", "second": "ArchVQ"}


def test_a_foreign_name_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    module = ModuleType("elsewhere")
    vars(module).update(ArchVQ="theirs", __getattr__=lambda name: f"old {name}")
    with caplog.at_level(logging.WARNING):
        _hook.extend(module)
        _hook.extend(module)
    assert module.ArchVQ == "theirs"
    assert module.anything == "old anything"
    assert "ArchVQ" in dir(module)
    assert [r.message for r in caplog.records] == [
        "elsewhere.ArchVQ exists already and is left alone; ours is nas_plugins.nni.ArchVQ"
    ]


def test_the_names_are_ours_and_not_those_of_nni() -> None:
    import nas_plugins.nni

    assert set(_hook.NAMES) <= set(nas_plugins.nni.__all__)
    assert set(nas_plugins.nni.__all__) <= set(dir(nas_plugins.nni))
    assert "RegularizedEvolution" not in _hook.NAMES
    with pytest.raises(AttributeError, match="no attribute 'ArchVq'"):
        nas_plugins.nni.ArchVq  # noqa: B018


@pytest.mark.parametrize(
    ("absent", "machine", "message"),
    [
        ("nni", "x86_64", r"needs NNI 3.0: pip install 'nas-plugins\[nni\]'"),
        ("nni", "aarch64", "packages for x86_64 only, not for aarch64; use nas_plugins.optuna"),
        ("pytorch_lightning", "x86_64", "needs pytorch-lightning, which NNI does not declare"),
    ],
)
def test_what_is_missing_is_said(
    absent: str, machine: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_require, "find_spec", lambda name: None if name == absent else object())
    monkeypatch.setattr(_require, "version", lambda name: "3.0")
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(MissingDependencyError, match=message):
        _require.require_nni()


def test_an_old_nni_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_require, "find_spec", lambda name: object())
    monkeypatch.setattr(_require, "version", lambda name: "2.10")
    with pytest.raises(MissingDependencyError, match=r"NNI 2\.10 is installed"):
        _require.require_nni()


@pytest.mark.skipif(find_spec("nni") is not None, reason="NNI is installed")
def test_without_nni_every_name_says_so() -> None:
    import nas_plugins.nni

    for name in ("ArchVQ", "NNIStrategy", "evaluator", "ArchVQTuner"):
        with pytest.raises(MissingDependencyError, match=r"NNI"):
            getattr(nas_plugins.nni, name)


@pytest.mark.skipif(find_spec("nni") is None, reason="needs NNI")
@pytest.mark.parametrize("order", ["hook first", "nni first"])
def test_the_real_nni_has_the_names(order: str) -> None:
    lines = ["import nas_plugins", "import nni.nas.strategy"]
    code = "\n".join(
        [
            *(lines if order == "hook first" else reversed(lines)),
            "from nni.nas.strategy import ArchVQ, ArchiveEvolution, LocalSearch, Random",
            "import nas_plugins.nni, pickle, nni",
            "result['same'] = ArchVQ is nas_plugins.nni.ArchVQ is nni.nas.strategy.ArchVQ",
            "copy = pickle.loads(pickle.dumps(nni.nas.strategy.ArchVQ(seed=1)))",
            "result['pickle'] = type(copy) is ArchVQ",
            "result['dump'] = nni.load(nni.dump(ArchVQ)) is ArchVQ",
            "theirs = nni.nas.strategy.RegularizedEvolution",
            "result['theirs'] = theirs.__module__",
        ]
    )
    assert run(code) == {
        "same": True,
        "pickle": True,
        "dump": True,
        "theirs": "nni.nas.strategy.evolution",
    }
