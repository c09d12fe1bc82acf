"""Downloads that survive interruptions: continued with HTTP ranges, checked, moved into place."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas_plugins.benchmarks.files import Checksum, Progress
from nas_plugins.errors import DataError

# What is lost when a connection breaks is less than this.
_CHUNK = 1 << 14
_OK, _PARTIAL, _RANGE_NOT_SATISFIABLE = 200, 206, 416


class InterruptedDownloadError(OSError):
    """The connection ended before the whole file was there."""


class ResumingDownloader:
    """A downloader for `pooch.retrieve` that keeps and continues what has arrived.

    Bytes are collected in ``<target>.part`` beside the target, which outlives the process. A
    server that does not know ranges makes it start again.

    Args:
        target: Where the file finally belongs.
        checksum: What it must match; a complete file that does not is kept as
            ``<target>.bad``.
        progress: Called with the bytes received so far and the total, where known.
        attempts: Connections in a row that may bring nothing before it gives up.
        timeout: Seconds without a byte after which a connection counts as lost.
        pause: Seconds to wait before the second attempt in a row, doubled at each next one.
    """

    def __init__(
        self,
        target: Path,
        *,
        checksum: Checksum | None = None,
        progress: Progress | None = None,
        attempts: int = 4,
        timeout: float = 30.0,
        pause: float = 1.0,
    ) -> None:
        self.part = beside(target, ".part")
        self.target = target
        self.checksum = checksum
        self.progress = progress
        self.attempts = attempts
        self.timeout = timeout
        self.pause = pause

    def __call__(self, url: str, output_file: str | Path, pooch: Any) -> None:
        """Downloads `url` to `output_file`, as pooch calls it.

        Raises:
            OSError: The server refuses, or the connection was lost too often; what arrived
                is kept for the next call.
            DataError: The complete file has the wrong checksum.
        """
        failures = 0
        while True:
            before = self._received()
            try:
                self._receive(url)
                break
            except OSError as error:
                received = self._received()
                failures = 0 if received > before else failures + 1
                if _is_final(error):
                    raise
                if failures >= self.attempts:
                    if not received:
                        raise
                    raise InterruptedDownloadError(
                        f"the connection broke off; {received:,} bytes are kept in {self.part}, "
                        "and the next try goes on from there"
                    ) from error
                time.sleep(self.pause * 2**failures if failures else 0.0)
        if self.checksum is not None and not self.checksum.matches(self.part):
            bad = beside(self.target, ".bad")
            self.part.replace(bad)
            raise DataError(
                f"what {url} sent has not {self.checksum}; it is kept as {bad} for inspection"
            )
        if self.target.exists():
            self.target.replace(beside(self.target, ".bad"))
        shutil.move(self.part, output_file)

    def _received(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _receive(self, url: str) -> None:
        import requests

        start = self._received()
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
            if response.status_code == _RANGE_NOT_SATISFIABLE and start:
                if _total(response.headers.get("Content-Range")) == start:
                    return  # everything had arrived already
                self.part.unlink()
                raise InterruptedDownloadError("the file on the server has changed")
            response.raise_for_status()
            continued = response.status_code == _PARTIAL
            total = _expected(response, start if continued else 0)
            with self.part.open("ab" if continued else "wb") as stream:
                for chunk in response.iter_content(_CHUNK):
                    stream.write(chunk)
                    if self.progress is not None:
                        self.progress(stream.tell(), total)
        if total is not None and self._received() < total:
            raise InterruptedDownloadError(f"got {self._received():,} of {total:,} bytes")


def download(
    url: str,
    target: Path,
    *,
    checksum: Checksum | None = None,
    progress: Progress | None = None,
    advice: str = "",
    **options: Any,
) -> Path:
    """Downloads one file and puts it at `target` once it is complete and checked.

    Args:
        url: Where it is.
        target: Where it belongs; a file that is there is kept as ``<target>.bad``.
        checksum: What it must match.
        progress: Called with the bytes received so far and the total, where known.
        advice: What to do by hand, put behind the error message.
        **options: Further options of `ResumingDownloader`.

    Raises:
        DataError: The download failed or has the wrong checksum. What arrived of an
            interrupted download is continued by the next call.
    """
    import pooch

    downloader = ResumingDownloader(target, checksum=checksum, progress=progress, **options)
    known = None
    if checksum is not None and checksum.algorithm != "git-blob":
        known = f"{checksum.algorithm}:{checksum.digest}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if known is None and target.exists():
            # Without a digest of its own kind pooch would take the file that is there.
            target.replace(beside(target, ".bad"))
        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                url, known, fname=target.name, path=target.parent, downloader=downloader
            )
    except (OSError, ValueError) as error:
        hint = f"; {advice}" if advice else ""
        raise DataError(f"cannot download {url}: {error}{hint}") from error
    return target


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Pooch announces every download on stderr; the progress is ours to show."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def beside(path: Path, suffix: str) -> Path:
    """The path with `suffix` behind its whole name."""
    return path.with_name(path.name + suffix)


def _is_final(error: OSError) -> bool:
    """Whether trying again cannot help: the server answered, or the disk is the problem."""
    import requests

    if isinstance(error, requests.HTTPError):
        status = error.response.status_code if error.response is not None else 0
        return 400 <= status < 500
    return not isinstance(error, (requests.RequestException, InterruptedDownloadError))


def _expected(response: Any, start: int) -> int | None:
    if start:
        return _total(response.headers.get("Content-Range"))
    length = response.headers.get("Content-Length")
    return int(length) if length is not None else None


def _total(content_range: str | None) -> int | None:
    """The total behind the slash of ``bytes 10-99/100``."""
    total = (content_range or "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


__all__ = ["InterruptedDownloadError", "ResumingDownloader", "beside", "download"]
