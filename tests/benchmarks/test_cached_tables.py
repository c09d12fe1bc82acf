"""Tables that are converted once."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from nas_plugins.benchmarks import cache, files

ARRAYS = {"a": np.arange(3), "text": np.array(["x", "yy"])}


@pytest.fixture
def origin(home: Path) -> Path:
    path = home / "slow.bin"
    path.write_bytes(b"content")
    return path


def convert(origin: Path, *, version: int = 1, fail: bool = False) -> cache.Arrays:
    def build() -> cache.Arrays:
        if fail:
            pytest.fail("converted again")
        return {name: array.copy() for name, array in ARRAYS.items()}

    cache.forget()  # as another process would
    return cache.converted(origin, build, kind="toy", version=version)


def same(arrays: cache.Arrays) -> bool:
    return all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)


def test_the_second_time_is_read_from_the_cache(origin: Path) -> None:
    assert same(convert(origin))
    assert same(convert(origin, fail=True))
    assert len(list(files.cache_dir().iterdir())) == 1


def test_a_process_reads_a_table_once_and_nobody_can_change_it(origin: Path) -> None:
    convert(origin)
    again = cache.converted(origin, dict, kind="toy", version=1)
    assert same(again)
    with pytest.raises(ValueError, match="read-only"):
        again["a"][0] = 5


def test_a_changed_file_and_a_new_version_are_converted_anew(origin: Path) -> None:
    convert(origin)
    convert(origin, version=2)
    os.utime(origin, ns=(1, 1))
    convert(origin)
    assert len(list(files.cache_dir().iterdir())) == 3


@pytest.mark.parametrize("size", [0, 10, 300])
def test_a_torn_cached_file_is_built_anew(origin: Path, size: int) -> None:
    convert(origin)
    (cached,) = files.cache_dir().iterdir()
    cached.write_bytes(cached.read_bytes()[:size])
    assert same(convert(origin))
    assert same(convert(origin, fail=True))


def test_a_cached_file_that_was_changed_is_built_anew(
    origin: Path, caplog: pytest.LogCaptureFixture
) -> None:
    convert(origin)
    (cached,) = files.cache_dir().iterdir()
    with np.load(cached) as archive:
        held = dict(archive)
    name = next(iter(ARRAYS))
    np.savez(cached, **{**held, name: held[name][::-1]})
    assert same(convert(origin))
    assert "was changed" in caplog.text


def test_a_cache_that_cannot_be_written_is_not_fatal(
    origin: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files.cache_dir().write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert same(convert(origin))
    assert "cannot keep" in caplog.text


def test_a_failed_write_leaves_nothing_behind(
    origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert same(convert(origin))
    assert not list(files.cache_dir().iterdir())
