"""The examples of docs/optuna.md do what they say."""

from __future__ import annotations

import doctest
from pathlib import Path

import optuna
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "optuna.md"


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_examples_print_what_is_written() -> None:
    before = optuna.logging.get_verbosity()
    try:
        found = doctest.testfile(str(PAGE), module_relative=False)
    finally:
        optuna.logging.set_verbosity(before)
    assert found.failed == 0
    assert found.attempted > 25
