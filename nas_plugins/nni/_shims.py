"""What is changed in NNI 3.0 while it runs, each with its reason; nothing on disk is touched.

NNI is archived, so no release will bring these repairs. `apply_shims` makes them once per
process, for version 3.0 only, and only those that are needed beside the packages installed.
"""

from __future__ import annotations

import functools
import logging
import shutil
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nas_plugins.nni._require import quieten

_logger = logging.getLogger(__name__)

VERSION = "3.0"
_LOCK_TIMEOUT_S = 60
_START_TRIES = 60
_lock = threading.Lock()
_MARK = "_nas_plugins_shim"


@dataclass(frozen=True)
class Shim:
    """One change.

    Attributes:
        name: Short name.
        reason: What goes wrong without it.
        apply: Makes the change; returns whether it was needed.
    """

    name: str
    reason: str
    apply: Callable[[], bool]


def apply_shims() -> tuple[str, ...]:
    """Makes the changes that are needed here, once per process, and logs their names.

    Returns:
        The names of the changes that hold in this process; none for another version of NNI.
    """
    import nni

    if _nni_version() != VERSION:
        return ()
    with _lock:
        # On NNI's module itself: a second copy of this package must not patch once more.
        applied: tuple[str, ...] | None = getattr(nni, _MARK, None)
        if applied is None:
            applied = tuple(shim.name for shim in SHIMS if shim.apply())
            setattr(nni, _MARK, applied)
            reasons = "; ".join(f"{s.name} ({s.reason})" for s in SHIMS if s.name in applied)
            _logger.info("NNI %s is changed in this process: %s", VERSION, reasons)
    return applied


def _nni_version() -> str:
    try:
        return version("nni")
    except PackageNotFoundError:
        return ""


def _release(package: str) -> tuple[int, ...]:
    numbers = version(package).split("+")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


# -- the changes ---------------------------------------------------------------------------


def _import_warnings() -> bool:
    quieten()
    return True


def file_lock() -> bool:
    import filelock
    from nni.tools.nnictl import config_utils

    if _release("filelock") < (3, 12):
        return False

    def get_file_lock(path: str, stale: float = -1) -> Any:
        return filelock.FileLock(f"{path}.flock", timeout=_LOCK_TIMEOUT_S)

    config_utils.get_file_lock = get_file_lock
    return True


def _safe_globals() -> bool:
    import numpy as np
    import torch
    from nni.mutable.utils import label
    from nni.nas.strategy.evolution import Individual

    if _release("torch") < (2, 6):
        return False
    restored: Any = np.zeros(1).__reduce__()[0]  # its module moved with NumPy 2
    kinds = {type(np.dtype(kind)) for kind in ("uint32", "int64", "float64")}
    torch.serialization.add_safe_globals(
        [label, Individual, frozenset, np.ndarray, np.dtype, restored, *kinds]
    )
    return True


def _unknown_commands() -> bool:
    from nni.runtime.tuner_command_channel.channel import TunerCommandChannel

    receive = TunerCommandChannel.receive

    @functools.wraps(receive)
    def tolerant(self: Any) -> Any:
        while True:
            try:
                return receive(self)
            except ValueError as error:
                if "Unknown command type" not in str(error):
                    raise
                _logger.debug("ignored: %s", error)

    TunerCommandChannel.receive = tolerant
    return True


def _patient_start() -> bool:
    from nni.experiment import launcher

    # A try takes a second where nothing listens yet.
    launcher._check_rest_server = functools.partial(
        launcher._check_rest_server, retry=_START_TRIES
    )
    return True


def _checkpoints() -> bool:
    from nni.nas.experiment import NasExperiment

    load, save, start = (
        NasExperiment.load_checkpoint,
        NasExperiment.save_checkpoint,
        NasExperiment._start_engine_and_strategy,
    )

    @functools.wraps(load)
    def load_checkpoint(self: Any) -> None:
        if self._engine is None:  # the first of two calls: nothing is written yet
            _back_up(self._checkpoint_directory)
        try:
            load(self)
        except BaseException:
            self._nas_plugins_keep = self._engine is not None
            raise

    @functools.wraps(save)
    def save_checkpoint(self: Any) -> None:
        if getattr(self, "_nas_plugins_keep", False):
            _logger.warning(
                "the checkpoint of experiment %s could not be loaded and is left as it is", self.id
            )
            return
        save(self)

    @functools.wraps(start)
    def start_engine_and_strategy(self: Any) -> None:
        keep = getattr(_main_strategy(self.strategy), "keep_checkpoints", None)
        if keep is not None:
            keep(functools.partial(_save_state, self))
        start(self)

    NasExperiment.load_checkpoint = load_checkpoint
    NasExperiment.save_checkpoint = save_checkpoint
    NasExperiment._start_engine_and_strategy = start_engine_and_strategy
    return True


def _main_strategy(strategy: Any) -> Any:
    from nni.nas.strategy.middleware import Chain

    return strategy[0] if isinstance(strategy, Chain) else strategy


def _back_up(folder: Path) -> None:
    """Copies the state into a new subfolder ``before-resume-<k>``."""
    files = [path for path in folder.glob("state.ckpt*") if path.is_file()]
    if not files:
        return
    number = 1 + sum(1 for _ in folder.glob("before-resume-*"))
    copy = folder / f"before-resume-{number}"
    copy.mkdir()
    for path in files:
        shutil.copy2(path, copy)
    _logger.info("the checkpoint was copied to %s before the resume", copy)


def _save_state(experiment: Any) -> None:
    """As ``save_checkpoint``, but replacing the old state only when the new one is complete."""
    from nni.nas.utils.serializer import get_default_serializer

    serializer = get_default_serializer()
    folder: Path = experiment._checkpoint_directory
    partial = folder / "partial-state.ckpt"
    try:
        serializer.save(experiment.state_dict(), partial)
        written = partial.with_name(partial.name + serializer.suffix)
        written.replace(folder / f"state.ckpt{serializer.suffix}")
    except Exception:  # the search matters more; NNI's own saving logs its errors too
        _logger.exception("the checkpoint in %s could not be written", folder)


@contextmanager
def pkg_resources() -> Iterator[None]:
    """Offers the two names of ``pkg_resources`` that NNI uses, while its modules are imported.

    Current setuptools have no such module, and ``nnictl`` asks it for NNI's version only. Other
    packages never see the stand-in.
    """
    name = "pkg_resources"
    if name in sys.modules or find_spec(name) is not None:
        yield
        return
    stand_in = types.ModuleType(name)

    def get_distribution(package: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(version=version(package))

    vars(stand_in).update(get_distribution=get_distribution, ResolutionError=PackageNotFoundError)
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


SHIMS = (
    Shim(
        "import-warnings",
        "NNI warns of two classes of newer PyTorch that it does not know",
        _import_warnings,
    ),
    Shim(
        "file-lock",
        "with filelock 3.12 and later NNI's own lock is never acquired and experiments hang",
        file_lock,
    ),
    Shim(
        "safe-globals",
        "PyTorch 2.6 and later refuse to load the checkpoints of NNI's own strategies",
        _safe_globals,
    ),
    Shim(
        "unknown-commands",
        "a command that NNI sends itself at a resume ends its listener, and the search hangs",
        _unknown_commands,
    ),
    Shim(
        "patient-start",
        "NNI gives its training service four seconds to start, too few on a busy machine",
        _patient_start,
    ),
    Shim(
        "checkpoints",
        "a resume that fails overwrites its checkpoint, and a killed search leaves none",
        _checkpoints,
    ),
)
"""All changes, in the order in which they are made."""
