"""Which files hold benchmarks, where they are, and whether they are intact.

Files live in the folder that the environment variable ``NAS_PLUGINS_DATA`` names, by default a
folder of the platform's user cache. Tables converted from slow files are kept in the folder that
``NAS_PLUGINS_CACHE`` names, by default beside it. Nothing here reads a benchmark; the loaders do.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from nas_plugins.errors import DataError, unknown_name

DATA_VARIABLE = "NAS_PLUGINS_DATA"
CACHE_VARIABLE = "NAS_PLUGINS_CACHE"

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes that are there and the total, where it is known."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """A digest that identifies a file.

    Attributes:
        algorithm: A name of `hashlib`, or ``"git-blob"``: SHA-1 of git's blob object.
        digest: Lower-case hexadecimal.
    """

    algorithm: str
    digest: str

    def matches(self, path: Path) -> bool:
        """Whether the file has this digest; reads all of it."""
        if self.algorithm == "git-blob":
            state = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        else:
            state = hashlib.new(self.algorithm, usedforsecurity=False)
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                state.update(chunk)
        return state.hexdigest() == self.digest

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest}"


@dataclass(frozen=True)
class DataFile:
    """One file that a benchmark is read from.

    Attributes:
        name: What ``nas-plugins data fetch NAME`` takes.
        filename: Its path inside the data folder.
        description: What it holds.
        benchmarks: Names of the benchmarks that are read from it.
        licence: SPDX identifier.
        url: Where it can be fetched, or ``None`` if only by hand.
        page: Page that offers it, for files that are fetched by hand.
        checksum: What identifies it, or ``None`` where no digest is published.
        size: In bytes, or ``None``; approximate where `checksum` decides.
        folder: Name of the folder that the unpacked file leaves, which serves as well.
        public: Whether it can be downloaded somewhere; the others are listed when present.
    """

    name: str
    filename: str
    description: str
    benchmarks: tuple[str, ...]
    licence: str
    url: str | None = None
    page: str = ""
    checksum: Checksum | None = None
    size: int | None = None
    folder: str | None = None
    public: bool = True

    @property
    def path(self) -> Path:
        """Where the file belongs, whether it is there or not."""
        return data_dir() / self.filename

    @property
    def found(self) -> Path | None:
        """The file, or its unpacked folder; ``None`` while neither is there."""
        candidates = [self.path, *([data_dir() / self.folder] if self.folder else [])]
        return next((path for path in candidates if path.exists()), None)

    @property
    def advice(self) -> str:
        """One sentence: what to download and where to put it."""
        if self.url is not None:
            return (
                f"run `nas-plugins data fetch {self.name}`, or download {self.url} "
                f"and put it at {self.path}"
            )
        if self.page:
            return (
                f"download {Path(self.filename).name} from {self.page} and put it at {self.path}"
            )
        return f"put it at {self.path}, or set {DATA_VARIABLE} to the folder that holds it"

    def to_json(self) -> dict[str, object]:
        """What is known of the file, and where it is, as plain data."""
        found = self.found
        return {
            "name": self.name,
            "path": str(self.path),
            "found": str(found) if found else None,
            "benchmarks": list(self.benchmarks),
            "description": self.description,
            "licence": self.licence,
            "url": self.url,
            "page": self.page or None,
            "checksum": str(self.checksum) if self.checksum else None,
            "advice": None if found else self.advice,
        }


class FileStatus(str, Enum):
    """What `verify` found."""

    INTACT = "intact"
    ABSENT = "absent"
    DAMAGED = "damaged"
    UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Verification:
    """Outcome of `verify`.

    Attributes:
        file: What was looked at.
        status: ``UNVERIFIED`` means present, with no known checksum to compare with.
        detail: One sentence.
    """

    file: DataFile
    status: FileStatus
    detail: str

    @property
    def ok(self) -> bool:
        """Whether the file is known to be what was published."""
        return self.status is FileStatus.INTACT

    @property
    def usable(self) -> bool:
        """Whether the file can be read: it is there and not known to be another."""
        return self.status in (FileStatus.INTACT, FileStatus.UNVERIFIED)

    def to_json(self) -> dict[str, object]:
        """The outcome as plain data."""
        status = self.status.value
        return {"name": self.file.name, "status": status, "detail": self.detail, "ok": self.ok}


_HW_NAS_BENCH = "https://raw.githubusercontent.com/GATECH-EIC/HW-NAS-Bench/393bb8a"
_YAHPO = (
    "https://raw.githubusercontent.com/slds-lmu/yahpo_data/"
    "3a646b874bb2e3a9c10b58ae2f42158e3a54a811/nb301"
)

_FILES = (
    DataFile(
        name="nats-bench",
        filename="NATS-tss-v1_0-3ffb9-simple.tar",
        description="NATS-Bench, topology search space: every run of every cell, 1.15 GB",
        benchmarks=("nasbench201",),
        licence="MIT",
        page="https://drive.google.com/file/d/17_saCsj_krKjlCBLOJEpNtzPXArMCqxU/view",
        checksum=Checksum(
            "sha256", "580fd8f3425fed9f495640b0f12ccb7744f89dec7aff263bd75aed37ab0b8bb6"
        ),
        folder="NATS-tss-v1_0-3ffb9-simple",
    ),
    DataFile(
        name="hw-nas-bench",
        filename="HW-NAS-Bench-v1_0.pickle",
        description="HW-NAS-Bench: latency and energy on six devices, NAS-Bench-201 and FBNet",
        benchmarks=("hw-nas-bench", "fbnet"),
        licence="MIT",
        url=f"{_HW_NAS_BENCH}/HW-NAS-Bench-v1_0.pickle",
        checksum=Checksum("git-blob", "b0634cb7f6e7be07192c77833df9eafa4baf705e"),
    ),
    DataFile(
        name="nasbench101",
        filename="nasbench_only108.tfrecord",
        description="NAS-Bench-101: three runs of 108 epochs of every cell, 499 MB",
        benchmarks=("nasbench101",),
        licence="Apache-2.0",
        url="https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord",
        checksum=Checksum(
            "sha256", "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1"
        ),
    ),
    DataFile(
        name="nasbench301",
        filename="nb301_yahpo/new_model.onnx",
        description="NAS-Bench-301 surrogate of YAHPO Gym, ONNX, 2.6 MB",
        benchmarks=("nasbench301",),
        licence="Apache-2.0",
        url=f"{_YAHPO}/new_model.onnx",
        checksum=Checksum(
            "sha256", "3c6a6fb3a70998bf6c55883bdc5cc71cff190e1859468d72cc6960b88f06d280"
        ),
        size=2578406,
    ),
    DataFile(
        name="nasbench201-compact",
        filename="nb201_accuracy.npz",
        description="NAS-Bench-201 in one archive: accuracies, size, training time",
        benchmarks=("nasbench201", "hw-nas-bench"),
        licence="MIT",
        public=False,
    ),
    DataFile(
        name="hw-nas-bench-compact",
        filename="hwnasbench_nb201.npz",
        description="HW-NAS-Bench over NAS-Bench-201 in one archive",
        benchmarks=("hw-nas-bench",),
        licence="MIT",
        public=False,
    ),
    DataFile(
        name="nasbench101-compact",
        filename="nb101_full.npz",
        description="NAS-Bench-101 in one archive: mean test accuracy and parameters",
        benchmarks=("nasbench101",),
        licence="Apache-2.0",
        public=False,
    ),
    DataFile(
        name="nas-bench-suite-zero",
        filename="nbsuitezero_nb201_9445.csv.gz",
        description="NAS-Bench-Suite-Zero: 13 zero-cost proxies of the NAS-Bench-201 cells",
        benchmarks=("nas-bench-suite-zero",),
        licence="MIT AND Apache-2.0",
        public=False,
    ),
    DataFile(
        name="fbnet-compact",
        filename="fbnet_cifar100_help.npz",
        description="FBNet: 5,000 architectures on 27 devices, look-up tables of four",
        benchmarks=("fbnet",),
        licence="MIT",
        public=False,
    ),
)


def data_dir() -> Path:
    """The folder of benchmark files; it need not exist."""
    return _folder(DATA_VARIABLE, "data")


def cache_dir() -> Path:
    """The folder of tables converted from benchmark files; it need not exist."""
    return _folder(CACHE_VARIABLE, "tables")


def _folder(variable: str, default: str) -> Path:
    if chosen := os.environ.get(variable):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("nas_plugins", appauthor=False)) / default


def listing() -> list[DataFile]:
    """The files that can be downloaded, and those of the others that are present."""
    return [file for file in _FILES if file.public or file.found is not None]


def get(name: str) -> DataFile:
    """The file called `name`.

    Raises:
        UnknownNameError: There is none; suggests the nearest.
    """
    for file in _FILES:
        if file.name == name:
            return file
    raise unknown_name("data file", name, (file.name for file in listing()))


def path(name: str) -> Path:
    """Where the file called `name` is.

    Raises:
        UnknownNameError: There is no such file; suggests the nearest.
        DataError: It is absent; says what to download and where to put it.
    """
    file = get(name)
    if (found := file.found) is None:
        raise DataError(f"{file.path} is absent: {file.advice}")
    return found


def trusted(name: str) -> Path:
    """As `path`, for a file that must have its published checksum; reads all of it.

    An unpacked folder has no checksum and is taken as it is.

    Raises:
        UnknownNameError: There is no such file; suggests the nearest.
        DataError: It is absent or has another checksum.
    """
    found = path(name)
    state = verify(name)
    if not state.usable:
        raise DataError(state.detail)
    return found


def verify(name: str) -> Verification:
    """Compares the file with its published checksum.

    Raises:
        UnknownNameError: There is no such file; suggests the nearest.
    """
    file = get(name)
    found = file.found
    if found is None:
        return Verification(file, FileStatus.ABSENT, f"absent: {file.advice}")
    if found.is_dir():
        detail = f"{found} is the unpacked folder, for which no checksum is known"
        return Verification(file, FileStatus.UNVERIFIED, detail)
    if file.checksum is None:
        detail = f"{found} is there, and no checksum is known for it"
        return Verification(file, FileStatus.UNVERIFIED, detail)
    try:
        intact = file.checksum.matches(found)
    except OSError as error:
        return Verification(file, FileStatus.DAMAGED, f"{found} cannot be read: {error.strerror}")
    if intact:
        return Verification(file, FileStatus.INTACT, f"{found} has {file.checksum}")
    return Verification(
        file, FileStatus.DAMAGED, f"{found} has not the published {file.checksum}: {file.advice}"
    )


def verify_all() -> Iterator[Verification]:
    """Verifies every listed file, one after the other."""
    return (verify(file.name) for file in listing())


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """Downloads a file unless it is there and intact; continues an interrupted download.

    A file that is there with another checksum is kept aside as ``<file>.bad``, and so is a
    finished download with the wrong one.

    Args:
        name: A name of `listing`.
        progress: Called with the bytes received so far and the total, where known.

    Returns:
        Where the file is.

    Raises:
        UnknownNameError: There is no such file; suggests the nearest.
        DataError: It can only be downloaded by hand, the download failed, or it has the wrong
            checksum; says what to download and where to put it.
    """
    file = get(name)
    state = verify(name)
    found = file.found
    if state.usable and found is not None:
        return found
    if file.url is None:
        raise DataError(f"{file.name!r} cannot be fetched automatically: {file.advice}")
    from nas_plugins.benchmarks.download import download

    return download(
        file.url,
        file.path,
        checksum=file.checksum,
        size=file.size,
        progress=progress,
        advice=file.advice,
    )
