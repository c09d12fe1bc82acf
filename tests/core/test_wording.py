"""Messages of errors are short, whatever they quote."""

from __future__ import annotations

import pickle

import pytest

from nas_plugins._wording import shortened
from nas_plugins.errors import (
    DataError,
    MissingDependencyError,
    NasPluginsError,
    UsageError,
    unknown_name,
)

LONG = "x" * 10_000


@pytest.mark.parametrize(
    ("quoted", "kept"),
    [(f"'{LONG}'", f"'{'x' * 200}' ... (10,000 characters)"),
     (f"`out={LONG}`", f"`out={'x' * 196}` ... (10,004 characters)"),
     (LONG, f"{'x' * 200} ... (10,000 characters)"),
     (f"[{'1, ' * 100}1]", f"[{('1, ' * 100)[:199]} ... (303 characters)")],
    ids=["text", "argument", "word", "list"],
)  # fmt: skip
def test_at_most_200_characters_are_quoted(quoted: str, kept: str) -> None:
    text = shortened(f"the user's `n` must be 'a' or 'b', got {quoted}")
    assert text.startswith("the user's `n` must be 'a' or 'b', got " + kept)
    assert shortened(text) == text


def test_what_is_short_or_no_quotation_stays() -> None:
    names = ", ".join(f"'name {i}'" for i in range(100))
    text = f"unknown space 'x'; the users' and the space's names: {names}; it's \"{'y' * 200}\""
    assert shortened(text) == text


def test_a_message_without_end_has_one() -> None:
    assert len(shortened("a 'b " * 1_000_000)) < 5_100


@pytest.mark.parametrize("kind", [UsageError, DataError, MissingDependencyError, NasPluginsError])
def test_errors_quote_little_and_cross_processes(kind: type[NasPluginsError]) -> None:
    error = kind(f"`n` must be a number, got {LONG!r}")
    assert len(str(error)) < 300
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert len(str(unknown_name("space", LONG, ["a"]))) < 300
