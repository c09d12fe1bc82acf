"""What must not be shown is not, however it is written."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest

from nas_plugins import _secrets
from nas_plugins.errors import DataError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pa@ss:w/d@host/db", "postgresql://me:***@host/db"),
        ("mysql://host/db?user=me&password=x1&a=b", "mysql://host/db?user=me&password=***&a=b"),
        ("mssql://?odbc_connect=PWD%3Dx", "mssql://?odbc_connect=***"),
        ("sqlite:////a@b/c:d@e.db", "sqlite:////a@b/c:d@e.db"),
        ("journal:///x.log?y", "journal:///x.log?y"),
    ],
)
def test_passwords_of_urls_are_hidden(text: str, shown: str) -> None:
    assert _secrets.without_passwords(text) == shown


@pytest.mark.parametrize("secret", ['p"a<ss&w\\ö1', "plain-canary-1", "a%40b+c d/1"])
def test_a_learnt_secret_is_hidden_however_it_is_written(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_secrets, "_known", {})
    _secrets.learn_from({"deep": [{"api_key": secret}]})
    for form in (secret, json.dumps(secret)[1:-1], html.escape(secret), quote(secret, safe="")):
        assert _secrets.without_secrets(f"a {form} b") == "a *** b"
    assert str(DataError(f"got {secret}")) == "got ***"


@pytest.mark.parametrize("name", ["token", "hf_token", "sum.token", "sum.api_key", "X-Api-Key"])
def test_a_name_tells_a_secret_also_behind_that_of_its_source(name: str) -> None:
    assert _secrets.names_secret(name)
    assert _secrets.masked({name: "x", "max_tokens": 3}) == {name: "***", "max_tokens": 3}


def test_words_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_secrets, "_known", {})
    _secrets.learn("any", "optuna", "password", None, 7)
    assert _secrets.without_secrets("any optuna password") == "any optuna password"
