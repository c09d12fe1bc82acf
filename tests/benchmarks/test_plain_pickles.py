"""The restricted reader of pickles."""

from __future__ import annotations

import pickle
import subprocess
import sys
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
    for data in (pickle.dumps(call), pickle.dumps([{"a": (call,)}])):
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


_ARRAY, _TYPE = np.ndarray, np.dtype
_NEW = np.zeros(1).__reduce__()[0]
_FROM_BYTES = np.zeros(1).__reduce_ex__(5)[0]
_SCALAR = np.float64(0).__reduce__()[0]


class State(Call):
    """Pickles as a call of `function` whose result is given `state`."""

    def __init__(self, state: Any, function: Any, *arguments: Any) -> None:
        self.made = function, arguments, state


def _plain(order: str = "<", **changed: Any) -> tuple[Any, ...]:
    return (3, order, changed.get("subarray"), None, changed.get("fields"), -1, -1, 0)


_OBJECTS = State(_plain("|"), _TYPE, "O8", False, True)
_FLOATS = State(_plain(), _TYPE, "f8", False, True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Call(_ARRAY, (1,), Call(_TYPE, "O"), b"A" * 8), "data type 'O'"),
        (State((1, (1,), _OBJECTS, False, b"A" * 8), _NEW, _ARRAY, (0,), b"b"), "type 'O8'"),
        (State((1, (1,), _FLOATS, False, [1]), _NEW, _ARRAY, (0,), b"b"), "fills an array with"),
        (State((1, (9,), _FLOATS, False, b"A" * 8), _NEW, _ARRAY, (0,), b"b"), "of 8 bytes"),
        (State((1, (-1,), _FLOATS, False, b""), _NEW, _ARRAY, (0,), b"b"), r"shape \(-1,\)"),
        (State((1, (10**15, 0), _FLOATS, False, b""), _NEW, _ARRAY, (0,), b"b"), "of 0 bytes"),
        (Call(_NEW, Call(_TYPE, "f8"), (10**12,), b"d"), "of another class"),
        (Call(_NEW, _ARRAY, (10**12,), b"d"), "holds a PendingArray"),
        (Call(_FROM_BYTES, b"A" * 8, _OBJECTS, (1,), "C"), "data type 'O8'"),
        (Call(_SCALAR, _OBJECTS, b"A" * 8), "data type 'O8'"),
        (Call(_SCALAR, State(_plain(subarray=(_OBJECTS, 1)), _TYPE, "f8"), b"A" * 8), "'O8'"),
        (State(_plain(fields={"a": 1}), _TYPE, "V8", False, True), "data type 'V8'"),
        (State(_plain(fields={"a": 1}), _TYPE, "f8", False, True), "not of plain numbers"),
        (Call(_TYPE, "U0"), "data type 'U0'"),
        (State({"a": 1}, set, [1]), "sets the state of set"),
    ],
)
def test_allowed_globals_with_hostile_arguments_are_refused(value: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        pickles.loads(pickle.dumps([value]), origin="x")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"(N" + b"\x85" * 300_000 + b"Nd.", "key of the type tuple"),
        (b"N" + b"\x85" * 10**5 + b".", "nested more than"),
        (b"]q\x00h\x00a.", "nested more than"),
        (b"]" + b"q\x00]h\x00ah\x00a" * 60 + b".", "nested more than"),
        (b"Nr\xff\xff\xff\xff.", ""),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "ends too early"),
        (b"\x8b\xff\xff\xff\xff.", "ends too early"),
        (b"(lp0\n(I1\nI2\ntR.", "calls what is no function"),
        (b"P1\n.", "opcode 'P'"),
        (b"c__builtin__\nset\n)\x81.", "opcode"),
    ],
)
def test_opcodes_that_cost_more_than_their_bytes_are_refused(data: bytes, said: str) -> None:
    if not said:  # a number of the memory is a name here, not an amount to set aside
        assert pickles.loads(data, origin="x") is None
        return
    with pytest.raises(DataError, match=said):
        pickles.loads(data, origin="x")


def test_what_unfolds_without_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MOST_STEPS", 1000)
    shared: Any = [1.0]
    for _ in range(12):
        shared = [shared, shared]
    with pytest.raises(DataError, match="unfolds to more than 1,000 values"):
        pickles.loads(pickle.dumps(shared), origin="x")
    with pytest.raises(DataError, match="more than 1,000 opcodes"):
        pickles.loads(pickle.dumps(list(range(2000))), origin="x")


def test_no_mutated_pickle_ends_the_process() -> None:
    script = Path(__file__).parents[2] / "scripts" / "fuzz_pickles.py"
    words = [sys.executable, script, "500", "--seed", "0"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("500 mutated pickles: 0 escapes, ")
