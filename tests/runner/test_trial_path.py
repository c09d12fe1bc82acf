"""How much code stands between asking for a trial and telling its values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy.random  # noqa: F401 - its import passes finders of ours
import optuna
import pytest

import nas_plugins as nap
from nas_plugins.runner import session

_MOST = 24  # two of them see to what plug-ins return, and to secrets
_PACKAGE = str(Path(nap.__file__).parent)


def test_a_trial_passes_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """With archive evolution on NAS-Bench-201, two objectives, after the initial population."""
    passed: set[str] = set()
    ask, tell = session.new_trial, optuna.Study.tell

    def note(frame: Any, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(_PACKAGE):
            passed.add(file[len(_PACKAGE) + 1 :])

    def asked(*arguments: Any) -> optuna.Trial:
        sys.setprofile(note)
        return ask(*arguments)

    def told(*arguments: Any, **options: Any) -> Any:
        sys.setprofile(None)
        return tell(*arguments, **options)

    monkeypatch.setattr(session, "new_trial", asked)
    monkeypatch.setattr(optuna.Study, "tell", told)
    try:
        nap.search(
            "nasbench201/cifar10", objectives=["val_accuracy", "latency_ms"], trials=60, seed=0
        )
    finally:
        sys.setprofile(None)
    assert 0 < len(passed) <= _MOST, "\n".join(sorted(passed))
