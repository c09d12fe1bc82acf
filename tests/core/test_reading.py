"""Files that somebody else may have written: bounded, and refused in one way."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas_plugins._arrays import arrays, check_finite
from nas_plugins._reading import content, inflated, json_file, json_value, refusing
from nas_plugins._wording import excerpt
from nas_plugins.errors import DataError
from nas_plugins.results import SearchResult


def archive(header: bytes, data: bytes = b"") -> bytes:
    """A numpy archive with one array of such a header."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        head = header.ljust(118) + b"\n"
        file.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)
    return target.getvalue()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "too deep"),
        ("[" * 200 + "]" * 200, "100 levels"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1e999}', "beyond the range"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ("1" * 5000, "digits"),
        ("\x00", "Expecting value"),
    ],
)
def test_json_that_is_none_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(DataError, match=f"a.json is not a thing: .*{why}"):
        json_file(file, "a thing")
    with pytest.raises(DataError, match="result"):
        SearchResult.load(file)


def test_what_python_wrote_of_a_failed_training_is_still_read() -> None:
    assert np.isnan(json_value('{"loss": NaN}', finite=False)["loss"])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (archive(b"{'descr': '<f8', 'fortran_order': False, 'shape': (10**9,)}"), "numpy"),
        (
            archive(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,)}"),
            "claims 8,000,000,000 bytes",
        ),
        (archive(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "objects"),
        (archive(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "shape"),
        (archive(b"not a header"), "numpy"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_an_archive_that_claims_what_is_not_there_is_refused(
    tmp_path: Path, payload: bytes, why: str
) -> None:
    file = tmp_path / "a.npz"
    file.write_bytes(payload)
    with pytest.raises(DataError, match=why):
        arrays(file)


def test_an_array_that_unpacks_to_more_than_it_claims_takes_no_memory(tmp_path: Path) -> None:
    file, claimed, real = tmp_path / "a.npz", 1 << 10, 1 << 27
    whole = io.BytesIO()
    np.savez_compressed(whole, x=np.zeros(real, dtype=np.uint8))
    # The directory claims a little of it, so that a check of the claims finds nothing.
    wrong = whole.getvalue().replace(struct.pack("<I", real + 128), struct.pack("<I", claimed))
    file.write_bytes(wrong)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            arrays(file)
        assert tracemalloc.get_traced_memory()[1] < real // 8
    finally:
        tracemalloc.stop()


def test_arrays_come_back_as_they_were_and_can_be_written_to(tmp_path: Path) -> None:
    kept = {"a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.eye(3)), "c": np.array(1)}
    np.savez_compressed(tmp_path / "a.npz", **kept)
    found = arrays(tmp_path / "a.npz")
    for name, array in kept.items():
        assert np.array_equal(found[name], array)
    found["a"][0, 0] = 5.0
    with pytest.raises(DataError, match="lacks the arrays"):
        arrays(tmp_path / "a.npz", ["z"])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_are_counted(wrong: float) -> None:
    with pytest.raises(DataError, match="`x` must be finite, got NaN or infinity in 2 of 3"):
        check_finite("a.npz", x=np.array([1.0, wrong, wrong]))


def test_a_bomb_of_gzip_and_a_file_that_is_too_long_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        inflated(file, most=1000)
    with pytest.raises(DataError, match="more than 1,000 bytes, too many"):
        content(file, most=1000)
    assert inflated(file) == bytes(1 << 20)


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"x" + b, lambda b: b + b"junk"])
def test_damaged_gzip_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "a.gz"
    file.write_bytes(damage(gzip.compress(b"a" * 100)))
    with pytest.raises(DataError, match="is not a gzip file"):
        inflated(file)


def test_foreign_text_is_quoted_briefly_and_shows_what_a_terminal_would_obey() -> None:
    assert len(excerpt("x" * 10**6)) < 240
    assert excerpt("\x1b[2J", quotes=False) == "\\x1b[2J"


def test_a_refusal_that_names_no_file_is_given_the_name() -> None:
    wanted = r"^a\.json is not a thing: `x` is wrong$"
    with pytest.raises(DataError, match=wanted), refusing("a.json", "a thing"):
        raise DataError("`x` is wrong")
