"""What must not be shown: keys and passwords that this process has been given.

Whoever is given one (a client of an endpoint, a storage, the options of a plug-in) tells it
here. Whatever leaves (files, storages, both output streams, messages of errors, what a language
model has said) goes through `without_secrets`.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"

_NAME = re.compile(
    r"key|secret|passw|pwd|passphrase|credential|authori[sz]|odbc_connect|(?:^|[._-])token$",
    re.IGNORECASE,
)
_USER = re.compile(r"(?<=://)(?P<user>[^:/?#@\s]*):(?P<secret>\S*)(?=@)")
_QUERY = re.compile(r"(?<=[?&;])(?P<name>[^=&;?\s]*)=(?P<secret>[^&;\s]+)")

_FOLDERS = ("PWD", "OLDPWD")
_LEAST = 6
_LEAST_OF_LETTERS = 12
"""A shorter secret may be a word, and taking every such word out would garble what is shown."""

_known: dict[str, None] = {}  # of the process, as what it prints is


def names_secret(name: str) -> bool:
    """Whether what goes by this name (an option, a header, a variable) must not be shown."""
    return _NAME.search(name) is not None


def learn(*secrets: object) -> None:
    """Hides texts from now on, also as URLs, JSON and HTML write them."""
    for secret in secrets:
        if not isinstance(secret, str):
            continue
        for text in (secret, unquote(secret), unquote_plus(secret)):
            if len(text) < (_LEAST_OF_LETTERS if text.isalpha() else _LEAST):
                continue
            written = (text, quote(text, safe=""), quote(text), quote_plus(text))
            escaped = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
            _known.update(dict.fromkeys((*written, *escaped, html.escape(text), repr(text)[1:-1])))
    ordered = sorted(_known, key=len, reverse=True)
    _known.clear()
    _known.update(dict.fromkeys(ordered))


def learn_from_url(url: str) -> None:
    """Hides the passwords of a URL from now on."""
    learn(*(found["secret"] for found in _USER.finditer(url)))
    learn(*(f["secret"] for f in _QUERY.finditer(url) if names_secret(f["name"])))


def learn_from(options: object) -> None:
    """Hides what options hold under a name that tells a secret, however deep, from now on."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            if names_secret(str(name)):
                learn(value)
            learn_from(value)
    elif isinstance(options, list | tuple):
        for value in options:
            learn_from(value)
    elif isinstance(options, str):
        learn_from_url(options)


def learn_from_environment() -> None:
    """Hides what the variables hold that keep keys and passwords."""
    learn_from({name: value for name, value in os.environ.items() if name not in _FOLDERS})


def without_secrets(text: str) -> str:
    """The text without anything that has been told to be secret."""
    for secret in list(_known):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def without_passwords(text: str) -> str:
    """As `without_secrets`, and without the passwords of any URL in it, told or not."""
    text = _USER.sub(rf"\g<user>:{HIDDEN}", text)
    text = _QUERY.sub(lambda f: f"{f['name']}={HIDDEN}" if names_secret(f["name"]) else f[0], text)
    return without_secrets(text)


def masked(value: Any) -> Any:
    """Options as a result may tell them: without secrets, by their names and by themselves."""
    if isinstance(value, Mapping):
        return {k: HIDDEN if names_secret(str(k)) else masked(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return without_passwords(value) if isinstance(value, str) else value
