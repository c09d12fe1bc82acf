"""Secrets in the options of evaluators, on their way to the trial processes of an experiment.

NNI writes the options to files and into the database of its service. A secret among them goes
through the environment instead, which the service and its trials inherit from this process.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nas_plugins._reading import json_value
from nas_plugins._secrets import names_secret, without_passwords
from nas_plugins.errors import EvaluationError

_VARIABLE = "NAS_PLUGINS_SECRET_"
_TEXT, _JSON = "nas_plugins:secret", "nas_plugins:secret-json"


def put_aside(options: Mapping[str, Any]) -> dict[str, Any]:
    """Moves secrets into environment variables of this process.

    Returns:
        The options with the names of variables in their places. They are the same whenever the
        same options come in the same order.
    """
    return {name: _aside(name, value, names_secret(name)) for name, value in options.items()}


def put_back(written: Mapping[str, Any]) -> dict[str, Any]:
    """Inverse of `put_aside`, in this process or in one that has inherited its environment.

    Raises:
        EvaluationError: The environment lacks a variable; names it.
    """
    return {name: _back(value) for name, value in written.items()}


@contextmanager
def variables_removed() -> Iterator[None]:
    """Takes what is put aside in this block out of the environment when it ends."""
    before = set(os.environ)
    try:
        yield
    finally:
        for variable in set(os.environ) - before:
            if variable.startswith(_VARIABLE):
                del os.environ[variable]


def _aside(name: str, value: Any, secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {k: _aside(str(k), v, secret or names_secret(str(k))) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return _alike(value, [_aside(name, item, secret) for item in value])
    if isinstance(value, str):
        hidden = secret or without_passwords(value) != value
        return {_TEXT: _variable(name, value)} if hidden and value else value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {_JSON: _variable(name, json.dumps(value))} if secret and number else value


def _alike(before: list[Any] | tuple[Any, ...], items: list[Any]) -> list[Any] | tuple[Any, ...]:
    return tuple(items) if isinstance(before, tuple) else items


def _variable(name: str, value: str) -> str:
    """The variable that holds `value`: the first of those named so that is free, or has it."""
    plain = _VARIABLE + re.sub(r"\W", "_", name, flags=re.ASCII).upper()
    variable, number = plain, 1
    while os.environ.setdefault(variable, value) != value:
        number += 1
        variable = f"{plain}_{number}"
    return variable


def _back(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return _alike(value, [_back(item) for item in value])
    if not isinstance(value, Mapping):
        return value
    if set(value) == {_TEXT}:
        return _held(value[_TEXT])
    if set(value) == {_JSON}:
        return _number_in(value[_JSON])
    return put_back(value)


def _number_in(variable: str) -> Any:
    held = _held(variable)
    try:
        return json_value(held)
    except (ValueError, RecursionError):  # which may quote the secret
        raise EvaluationError(
            f"an option is a secret number, and {variable} holds none where the trials run"
        ) from None


def _held(variable: str) -> str:
    try:
        return os.environ[variable]
    except KeyError:
        raise EvaluationError(
            f"an option is a secret, which is in no file of the experiment; set {variable} to it "
            "where the trials run"
        ) from None
