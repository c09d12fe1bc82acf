"""Errors of predicted latencies."""

from __future__ import annotations

import numpy as np
import pytest

from nas_plugins.evaluators.latency.quality import Quality


def test_quality_of_known_errors() -> None:
    quality = Quality.of(np.array([1.1, 2.0, 2.0]), np.array([1.0, 2.0, 4.0]))
    assert quality.mae == pytest.approx(0.7)
    assert quality.relative == pytest.approx(0.1)
    assert quality.n == 3
    assert quality.words("ms").startswith("MAE 0.7 ms, median error 10.0 %, Spearman 0.")
    assert Quality.from_json(quality.to_json()) == quality
