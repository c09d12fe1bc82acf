"""Downloads that survive interruptions: continued with HTTP ranges, checked, moved into place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from nas_plugins._files import holding
from nas_plugins.benchmarks.files import Checksum, Progress
from nas_plugins.errors import DataError

# What is lost when a connection breaks is less than this.
_CHUNK = 1 << 14
_PARTIAL, _RANGE_NOT_SATISFIABLE = 206, 416
_MOST_UNKNOWN = 1 << 32  # bytes of a file whose size is not known
_SLACK = 2  # sizes are approximate where a checksum decides


class InterruptedDownloadError(OSError):
    """The connection ended before the whole file was there."""


class TooLargeError(OSError):
    """The server sends more than the file can have."""


def download(
    url: str,
    target: Path,
    *,
    checksum: Checksum | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    advice: str = "",
    attempts: int = 4,
    timeout: float = 30.0,
    pause: float = 1.0,
) -> Path:
    """Downloads one file and puts it at `target` once it is complete and checked.

    Bytes are collected in ``<target>.part`` beside the target, which outlives the process: what
    arrived of an interrupted download is continued by the next call. A server that does not know
    ranges makes it start again. A second process that wants the same file waits for the first
    one and takes what that has left.

    Args:
        url: Where it is.
        target: Where it belongs; a file that is there is kept as ``<target>.bad``.
        checksum: What it must match; a complete file that does not is kept as
            ``<target>.bad``.
        size: About how many bytes it has; what is more than twice as long is refused, and what
            is longer than 4 GiB where the size is not known.
        progress: Called with the bytes received so far and the total, where known.
        advice: What to do by hand, put behind the error message.
        attempts: Connections in a row that may bring nothing before it gives up.
        timeout: Seconds without a byte after which a connection counts as lost.
        pause: Seconds to wait before the second attempt in a row, doubled at each next one.

    Raises:
        DataError: The download failed or has the wrong checksum.
    """
    part, bad = beside(target, ".part"), beside(target, ".bad")
    most = _MOST_UNKNOWN if size is None else _SLACK * size
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        before = _version(target)
        with holding(beside(target, ".lock")):
            new = _version(target)
            if new is not None and new != before and (not checksum or checksum.matches(target)):
                return target  # of another process, while this one waited
            _complete(
                url, part, progress, most=most, attempts=attempts, timeout=timeout, pause=pause
            )
            if checksum is not None and not checksum.matches(part):
                part.replace(bad)
                raise DataError(
                    f"what {url} sent has not {checksum}; it is kept as {bad} for inspection"
                )
            if target.exists():
                target.replace(bad)
            part.replace(target)
    except (OSError, ValueError) as error:
        hint = f"; {advice}" if advice else ""
        raise DataError(f"cannot download {url}: {error}{hint}") from error
    return target


def _complete(
    url: str,
    part: Path,
    progress: Progress | None,
    *,
    most: int,
    attempts: int,
    timeout: float,
    pause: float,
) -> None:
    """Connects until `part` holds the whole file."""
    failures = 0
    while True:
        before = _size(part)
        try:
            return _receive(url, part, progress, timeout, most=most)
        except OSError as error:
            failures = 0 if _size(part) > before else failures + 1
            if _is_final(error) or (failures >= attempts and not _size(part)):
                raise
            if failures >= attempts:
                raise InterruptedDownloadError(
                    f"the connection broke off; {_size(part):,} bytes are kept in {part}, "
                    "and the next try goes on from there"
                ) from error
            time.sleep(pause * 2**failures if failures else 0.0)


def _version(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that takes its place."""
    status = path.stat() if path.exists() else None
    return None if status is None else (status.st_ino, status.st_mtime_ns)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(
    url: str, part: Path, progress: Progress | None, timeout: float, *, most: int
) -> None:
    """Appends to `part` what one connection brings; returns when the file is complete."""
    import requests

    start = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == _RANGE_NOT_SATISFIABLE and start:
            if _total(response.headers.get("Content-Range")) == start:
                return  # everything had arrived already
            part.unlink()
            raise InterruptedDownloadError("the file on the server has changed")
        response.raise_for_status()
        continued = response.status_code == _PARTIAL
        total = _expected(response, start if continued else 0)
        if total is not None and total > most:
            raise TooLargeError(f"the server announces {total:,} bytes, and {most:,} is the most")
        with part.open("ab" if continued else "wb") as stream:
            for chunk in response.iter_content(_CHUNK):
                if stream.tell() + len(chunk) > most:
                    stream.truncate(0)  # whatever this is, it is nothing to go on with
                    raise TooLargeError(f"the server sends more than {most:,} bytes")
                stream.write(chunk)
                if progress is not None:
                    progress(stream.tell(), total)
    if total is not None and _size(part) < total:
        raise InterruptedDownloadError(f"got {_size(part):,} of {total:,} bytes")


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
