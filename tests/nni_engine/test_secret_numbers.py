"""Secret numbers that the environment of a trial process holds wrongly."""

from __future__ import annotations

import pytest

from nas_plugins.errors import EvaluationError
from nas_plugins.nni.secret_options import put_back


@pytest.mark.parametrize("held", ["12x", "NaN", "[" * 100_000])
def test_what_is_no_number_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setenv("NAS_PLUGINS_SECRET_PIN", held)
    with pytest.raises(EvaluationError, match="NAS_PLUGINS_SECRET_PIN") as caught:
        put_back({"pin": {"nas_plugins:secret-json": "NAS_PLUGINS_SECRET_PIN"}})
    assert held not in str(caught.value)
