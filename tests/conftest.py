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


@pytest.fixture(autouse=True)
def _declared_proxies_end_with_their_test() -> Iterator[None]:
    """A proxy of one test is no part of another's "all": one of them kills its process."""
    yield
    if (proxies := sys.modules.get("nas_plugins.evaluators.zero_cost.proxy")) is not None:
        for name, proxy in list(proxies._DECLARED.items()):
            if not proxy.compute.__module__.startswith("nas_plugins."):
                del proxies._DECLARED[name]
