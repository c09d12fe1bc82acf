"""Settings shared by all tests."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The conformance kits are modules of the package, whose assertions pytest leaves alone else.
pytest.register_assert_rewrite("nas_plugins.testing")

# The same examples every time, and no deadline: timing never decides a test.
settings.register_profile(
    "nas_plugins",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nas_plugins")

# A shell starts its background jobs deaf to Ctrl-C, and they hand that down to what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _optuna_stays_as_loud() -> Iterator[None]:
    """What a test silences of Optuna, and with it of ours, the next one hears again."""
    yield
    if (optuna := sys.modules.get("optuna")) is not None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
