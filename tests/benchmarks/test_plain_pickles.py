"""The restricted reader of pickles."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas_plugins.benchmarks.loaders import pickles
from nas_plugins.errors import DataError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_and_containers_are_read(protocol: int) -> None:
    value = {
        "plain": [1, 2.5, None, True, "text", (1, 2), {3}],
        "scalar": np.float64(0.25),
        "array": np.arange(6.0).reshape(2, 3),
        "integers": np.arange(3, dtype=np.int8),
        "ordered": OrderedDict(a=1),
    }
    again = pickles.loads(pickle.dumps(value, protocol=protocol), origin="x")
    assert again["plain"] == value["plain"]
    assert again["scalar"] == 0.25
    assert np.array_equal(again["array"], value["array"])
    assert again["integers"].dtype == np.int8
    assert again["ordered"] == {"a": 1}


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> Any:
        return self.made


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (Call(eval, "1/0"), "builtins.eval"),
        (Call(getattr, "text", "upper"), "builtins.getattr"),
        (Call(np.load, "x"), "numpy"),
        (Call(Path, "x"), "pathlib"),
        (Call(np.testing.measure, "1"), "numpy.testing"),
    ],
)
def test_any_other_global_is_refused(call: Call, asked: str) -> None:
    for data in (pickle.dumps(call), pickle.dumps([np.array([call], dtype=object)])):
        with pytest.raises(DataError, match=rf"file.pkl .* it asks for {asked}"):
            pickles.loads(data, origin="file.pkl")


def test_a_codec_cannot_be_smuggled_in() -> None:
    data = b"c_codecs\nencode\n(Vpayload\nVrot13\ntR."
    with pytest.raises(DataError, match="asks for the codec 'rot13'"):
        pickles.loads(data, origin="x")


@pytest.mark.parametrize("size", [0, 1, 10, 50])
def test_a_torn_pickle_is_refused(size: int) -> None:
    whole = pickle.dumps({"a": list(range(100)), "b": np.zeros(9)})
    with pytest.raises(DataError, match="is not a pickle of plain numbers"):
        pickles.loads(whole[:size], origin="x")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*absent"):
        pickles.load(tmp_path / "absent")


def test_a_dotted_name_does_not_reach_further() -> None:
    data = b"\x80\x04\x8c\x05numpy\x8c\x0fdtype.__class__\x93."
    with pytest.raises(DataError, match=r"asks for numpy\.dtype\.__class__"):
        pickles.loads(data, origin="x")
