"""Where trials are kept: storages of Optuna by URL, folders of NNI; errors in one sentence."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_plugins._secrets import learn_from_url, without_passwords
from nas_plugins.errors import EngineError, MissingDependencyError, UsageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

OPTUNA, NNI = "optuna", "nni"
ENGINES = (OPTUNA, NNI)

_NNI_URL = "nni:///"
_JOURNAL = re.compile(r"journal:///(?P<path>.+)")
_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)(?:\?.*)?")
_BUSY_SECONDS = 60.0  # how long a worker waits while another writes to the same SQLite file


@dataclass(frozen=True)
class StorageURL:
    """Where trials are kept; written as Optuna and SQLAlchemy do, and ``journal:///PATH``.

    After the third slash comes the path: ``sqlite:///s.db`` lies in the working directory,
    ``sqlite:////var/s.db`` is absolute. The same holds for ``journal:///``.
    """

    text: str

    @classmethod
    def parse(cls, text: str, *, engine: str = OPTUNA) -> StorageURL:
        """Reads what was given as ``storage``.

        A folder of NNI's may be written without a scheme.

        Raises:
            UsageError: It is not a URL, one of the other engine, or a journal without a path.
        """
        if engine == NNI:
            return cls._of_nni(text)
        learn_from_url(text)
        url = cls(text)
        if text.startswith("nni:"):
            raise UsageError(f"`storage={url}` goes with `engine={NNI}`")
        if "://" not in text:
            raise UsageError(
                "`storage` must be a URL such as sqlite:///search.db or journal:///search.log, "
                f"got {text!r}"
            )
        if text.startswith("journal:") and url.journal is None:
            raise UsageError(f"`storage` must be written journal:///FILE, got {url}")
        return url

    @classmethod
    def _of_nni(cls, text: str) -> StorageURL:
        url = cls(text if "://" in text else f"{_NNI_URL}{text}")
        if not url.text.startswith(_NNI_URL) or url.text == _NNI_URL:
            raise UsageError(
                f"`storage={url}` goes with `engine={OPTUNA}`; NNI keeps experiments in a folder: "
                f"`storage=FOLDER` or {_NNI_URL}FOLDER"
            )
        return url

    @classmethod
    def of_folder(cls, folder: Path) -> StorageURL:
        """A folder of NNI's."""
        return cls(f"{_NNI_URL}{folder}")

    @property
    def folder(self) -> Path:
        """Inverse of `of_folder`."""
        return Path(self.text.removeprefix(_NNI_URL)).expanduser()

    def __str__(self) -> str:
        return without_passwords(self.text)

    @property
    def journal(self) -> Path | None:
        """The file of a ``journal:///`` URL."""
        match = _JOURNAL.fullmatch(self.text)
        return Path(match["path"]) if match else None

    @property
    def file(self) -> Path | None:
        """The file behind the URL; ``None`` for a server, memory or SQLite's own URI form."""
        if self.journal is not None:
            return self.journal
        match = _SQLITE.fullmatch(self.text)
        if match is None or match["path"].startswith((":memory:", "file:")):
            return None
        return Path(match["path"])

    @property
    def is_gone(self) -> bool:
        """Whether the file behind the URL is not there any more; SQLite may still read it."""
        return self.file is not None and not self.file.exists()

    @property
    def in_memory(self) -> bool:
        """Whether no other process can see it."""
        return self.text.startswith("sqlite") and (
            ":memory:" in self.text or self.text.partition("://")[2] in ("", "/")
        )

    def absolute(self) -> StorageURL:
        """The same place, whatever the working directory."""
        file = self.file
        if file is None or file.is_absolute():
            return self
        return StorageURL(self.text.replace(f"///{file}", f"///{file.resolve()}", 1))


def open_storage(
    url: StorageURL | None, *, create: bool, mended: Callable[[int], None] | None = None
) -> BaseStorage:
    """Opens the storage at `url`; in memory when it is ``None``.

    Args:
        url: Where.
        create: Whether a file that does not exist is made.
        mended: Told how many bytes of an unfinished record were cut off a journal, which is done
            only where it is given: by who will write trials.

    Raises:
        EngineError: It cannot be opened, or is not a storage.
    """
    from optuna.storages import InMemoryStorage

    if url is None:
        return InMemoryStorage()
    file = url.file
    if file is not None and not create and not file.exists():
        raise EngineError(f"storage {url} does not exist ({file.resolve()})")
    if file is not None and not file.resolve().parent.is_dir():
        raise EngineError(
            f"storage {url} cannot be made: there is no folder {file.resolve().parent}"
            + ("" if file.is_absolute() else " (an absolute path takes four slashes)")
        )
    with storage_errors(url):
        return _database(url) if url.journal is None else _journal(url, url.journal, mended)


def _database(url: StorageURL) -> BaseStorage:
    from optuna.storages import RDBStorage, get_storage

    options: dict[str, Any] = {}
    if url.text.startswith("sqlite"):
        options = {"connect_args": {"timeout": _BUSY_SECONDS}}
    try:
        return get_storage(RDBStorage(url.text, engine_kwargs=options))
    except ImportError as error:
        raise MissingDependencyError(
            f"storage {url} needs the driver of its database: {_reason(error)}"
        ) from error


def _journal(url: StorageURL, file: Path, mended: Callable[[int], None] | None) -> BaseStorage:
    from optuna.exceptions import StorageInternalError
    from optuna.storages import JournalStorage

    from nas_plugins.runner.journal import OwnedLock, WatchedJournal, damaged_line, mend

    # The lock is a symbolic link to the file, and Optuna spins on one that leads nowhere.
    path = file.resolve()
    lock = OwnedLock(path)
    if mended is not None and path.exists() and (cut := mend(path, lock)):
        mended(cut)
    try:
        return JournalStorage(WatchedJournal(path, lock))
    except (ValueError, KeyError, TypeError, AssertionError, StorageInternalError) as error:
        line = damaged_line(path)
        where = f"at line {line}" if line else f"({type(error).__name__}: {error})"
        raise EngineError(f"storage {url} is damaged {where}: it is not a record") from error


def studies_in(engine: str, url: StorageURL) -> list[str]:
    """The names of the studies in a storage."""
    if engine == NNI:
        from nas_plugins.nni.folder import experiments_in

        return experiments_in(url.folder)
    import optuna

    storage = open_storage(url, create=False)
    with storage_errors(url):
        return optuna.get_all_study_names(storage)


@contextlib.contextmanager
def storage_errors(url: StorageURL | None) -> Iterator[None]:
    """Turns what a storage raises into an `EngineError` of one sentence.

    Around code in which nothing else reads or writes files: journals raise `OSError`.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads what we print
    except Exception as error:
        if not is_storage_error(error) and not isinstance(error, OSError):
            raise
        gone = url is not None and url.is_gone
        reason = "its file was removed while it was used" if gone else _reason(error)
        # Not chained where the driver repeats the password.
        cause = error if without_passwords(str(error)) == str(error) else None
        raise EngineError(f"storage {url or 'in memory'}: {reason}") from cause


def is_storage_error(error: BaseException) -> bool:
    """Whether the storage raised `error`, rather than an evaluator or a strategy."""
    from optuna.exceptions import StorageInternalError

    if isinstance(error, EngineError):
        return False
    # SQLAlchemy is imported only when a database is opened, so its errors go by name.
    return isinstance(error, StorageInternalError) or type(error).__module__.startswith(
        ("sqlalchemy", "alembic", "sqlite3")
    )


def _reason(error: BaseException) -> str:
    """The database's own words, without SQLAlchemy's wrapping and Optuna's guess."""
    innermost: BaseException = error
    while isinstance(cause := innermost.__cause__ or getattr(innermost, "orig", None), Exception):
        innermost = cause
    return without_passwords(" ".join(str(innermost).split())) or type(innermost).__name__
