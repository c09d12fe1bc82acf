"""Rewrites the assertions of Optuna's own test suite, and keeps the output quiet."""

from __future__ import annotations

import optuna
import pytest

pytest.register_assert_rewrite("optuna.testing.pytest_samplers")
optuna.logging.set_verbosity(optuna.logging.ERROR)
