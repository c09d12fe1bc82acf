"""Scores kept on disk, so that no architecture is scored twice with the same settings.

One SQLite file per space and settings, in the folder ``zero-cost`` of the cache. Only the process
that asked for the scores writes, so a killed worker cannot tear anything; several such processes
may share a file. Each entry carries a check sum, since SQLite notices a torn file but not a
changed number. The journal is SQLite's default one and not WAL, which needs shared memory that
network file systems lack.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_plugins.benchmarks import files
from nas_plugins.spaces.base import SearchSpace

FORMAT = 1
"""Version of what the entries mean; older files are left alone and not read."""

_LOG = logging.getLogger(__name__)
_BUSY_SECONDS = 20.0
_FLUSH_SECONDS = 0.25
_ASKED_AT_ONCE = 500
_TABLE = (
    "CREATE TABLE IF NOT EXISTS scores (architecture TEXT, proxy TEXT, version INTEGER, "
    "value REAL, reason TEXT, checksum INTEGER, "
    "PRIMARY KEY (architecture, proxy, version)) WITHOUT ROWID"
)


@dataclass(frozen=True)
class CachedScore:
    """One proxy of one architecture.

    Attributes:
        value: The score; NaN where there is none.
        reason: Why there is none; empty where there is one.
    """

    value: float
    reason: str = ""


class ScoreCache:
    """The scores of one space under one digest of settings; use as a context manager.

    Nothing here raises for the cache's sake: a file that cannot be read or written costs the
    time to score again and a logged warning.

    Args:
        path: The file; created when something is kept.
        versions: Version by proxy name; entries of other versions and proxies are neither seen
            nor kept.
    """

    def __init__(self, path: Path, versions: Mapping[str, int]) -> None:
        self._path = path
        self._versions = dict(versions)
        self._database: sqlite3.Connection | None = None
        self._waiting: list[tuple[object, ...]] = []
        self._due = 0.0
        self._usable = True

    @staticmethod
    def path_for(folder: Path | None, space: SearchSpace, digest: str) -> Path:
        """The file for a space and settings.

        Args:
            folder: ``None`` for the folder ``zero-cost`` of the user's cache.
            space: Its name and options count.
            digest: Of the settings.
        """
        spec = json.dumps(space.to_json(), sort_keys=True, default=repr)
        kind = f"{type(space).__module__}.{type(space).__qualname__}|{spec}|{digest}"
        name = hashlib.sha256(kind.encode()).hexdigest()[:16]
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in space.name)[:40]
        base = files.cache_dir() / "zero-cost" if folder is None else folder
        return base / f"{plain}-{name}-v{FORMAT}.sqlite"

    def __enter__(self) -> ScoreCache:
        if self._path.exists():
            self._open()
        return self

    def __exit__(self, *details: object) -> None:
        self._flush()
        self._close_quietly()

    def get(self, architectures: Sequence[str]) -> dict[str, dict[str, CachedScore]]:
        """What is known, by architecture and proxy."""
        found: dict[str, dict[str, CachedScore]] = {name: {} for name in architectures}
        database = self._database
        if database is None or not self._versions:
            return found
        names = sorted(found)
        damaged = 0
        try:
            for start in range(0, len(names), _ASKED_AT_ONCE):
                for row in _select(database, names[start : start + _ASKED_AT_ONCE]):
                    architecture, proxy, version, value, reason, checksum = row
                    if self._versions.get(proxy) != version:
                        continue
                    entry = _entry(value, reason)
                    if entry is None or checksum != _checksum(architecture, proxy, version, entry):
                        damaged += 1
                        continue
                    found[architecture][proxy] = entry
        except sqlite3.OperationalError as error:
            self._give_up(error)
            return {name: {} for name in architectures}
        except (sqlite3.Error, TypeError, ValueError) as error:  # not ours, or torn
            self._set_aside(error)
            return {name: {} for name in architectures}
        if damaged:
            _LOG.warning("%s: %d damaged entries are computed anew", self._path, damaged)
        return found

    def put(self, architecture: str, entries: Mapping[str, CachedScore]) -> None:
        """Keeps scores; they are on disk soon after, or when the cache is closed."""
        self._waiting += [
            self._row(architecture, name, entry)
            for name, entry in entries.items()
            if name in self._versions
        ]
        # In one go, so that no lock is held while the next network is scored.
        if time.monotonic() >= self._due:
            self._flush()

    def _row(self, architecture: str, proxy: str, entry: CachedScore) -> tuple[object, ...]:
        version = self._versions[proxy]
        value = None if math.isnan(entry.value) else entry.value
        check = _checksum(architecture, proxy, version, entry)
        return (architecture, proxy, version, value, entry.reason, check)

    def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        self._due = time.monotonic() + _FLUSH_SECONDS
        if not rows or not self._usable or (self._database is None and not self._open()):
            return
        try:
            _insert(self._database, rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _open(self) -> bool:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connect()
        # A damaged page may stand in the message, which then is no text.
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            # Busy, read-only and full are operational errors: the file itself may be sound.
            if isinstance(error, sqlite3.OperationalError):
                self._give_up(error)
                return False
            self._set_aside(error)
            self._connect_anew()
        except OSError as error:
            self._give_up(error)
        return self._database is not None

    def _connect(self) -> None:
        database = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
        try:
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(_TABLE)
            database.commit()
        except (sqlite3.Error, UnicodeDecodeError):
            database.close()
            raise
        self._database = database

    def _connect_anew(self) -> None:
        try:
            self._connect()
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        _LOG.warning("cannot use %s to keep scores: %s", self._path, error)
        self._usable = False
        self._close_quietly()

    def _set_aside(self, error: Exception) -> None:
        self._close_quietly()
        aside = self._path.with_name(self._path.name + ".bad")
        _LOG.warning("%s is torn or foreign (%s); moved to %s", self._path, error, aside.name)
        with contextlib.suppress(OSError):
            os.replace(self._path, aside)

    def _close_quietly(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()


def _insert(database: sqlite3.Connection | None, rows: Iterable[tuple[object, ...]]) -> None:
    if database is not None:
        with database:
            database.executemany("INSERT OR REPLACE INTO scores VALUES (?,?,?,?,?,?)", rows)


def _select(database: sqlite3.Connection, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    marks = ",".join("?" * len(names))
    return database.execute(f"SELECT * FROM scores WHERE architecture IN ({marks})", names)


def _entry(value: object, reason: object) -> CachedScore | None:
    """The entry as it was put; ``None`` for what no one puts."""
    if not isinstance(reason, str) or (value is None) != bool(reason):
        return None
    if value is None:
        return CachedScore(math.nan, reason)
    return CachedScore(value) if isinstance(value, float) else None


def _checksum(architecture: str, proxy: str, version: int, entry: CachedScore) -> int:
    text = "\0".join((architecture, proxy, str(version), entry.value.hex(), entry.reason))
    return zlib.crc32(text.encode())
