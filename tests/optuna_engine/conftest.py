"""Settings of Optuna that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest

pytest.register_assert_rewrite("optuna.testing.pytest_samplers")


@pytest.fixture(autouse=True)
def verbosity() -> Iterator[None]:
    """Ours follows Optuna's: warnings are told, whatever an earlier test has silenced."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)
