"""Drawing from a model and measuring what was drawn."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.cli._errors import UsageError
from nas_plugins.errors import DataError, InvalidArchitectureError
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.strategies.arch_vq.model import ArchVQModel

Keys = npt.NDArray[Any]


@dataclass(frozen=True)
class Draw:
    """What ``nas-plugins sample`` was asked for; see its options.

    Attributes:
        n: Number of draws.
        seed: Seed.
        temperature: Divides the logits.
        decoding: ``"strict"`` or ``"paper"``.
        unique: Without replacement.
        exclude_train: Nothing of the training set.
        exclude: File of architectures not to draw, or ``None``.
    """

    n: int
    seed: int = 0
    temperature: float = 1.0
    decoding: str = "strict"
    unique: bool = True
    exclude_train: bool = False
    exclude: Path | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn, with its measurements.

    Attributes:
        space: The space.
        asked: What was asked for.
        rows: Valid architectures that were not excluded, as rows of choices.
        keys: Their canonical keys.
        n_valid: Number of valid draws, the excluded ones included.
        train_keys: Sorted keys of the training set; ``None`` if they cannot be drawn again.
        load_seconds: From the start of the command to the loaded model.
        draw_seconds: Drawing alone.
    """

    space: SearchSpace
    asked: Draw
    rows: Rows
    keys: Keys
    n_valid: int
    train_keys: Keys | None
    load_seconds: float
    draw_seconds: float

    def lines(self) -> list[str]:
        """The architectures, written."""
        return [str(architecture) for architecture in self.space.architectures(self.rows)]

    def document(self, seconds: float, cpu_seconds: float) -> dict[str, Any]:
        """The figures as plain data.

        Args:
            seconds: Since the start of the command.
            cpu_seconds: Time of the processors since then.
        """
        rate = len(self.rows) / self.draw_seconds if self.draw_seconds else None
        return {
            "space": self.space.name,
            "n": self.asked.n,
            "returned": len(self.rows),
            "seed": self.asked.seed,
            "temperature": self.asked.temperature,
            "decoding": self.asked.decoding,
            "unique": self.asked.unique,
            "validity": round(100.0 * self.n_valid / self.asked.n, 4),
            "distinct": len(np.unique(self.keys)),
            "novelty": self._novelty(),
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu_seconds, 3),
            "load_seconds": round(self.load_seconds, 3),
            "draw_seconds": round(self.draw_seconds, 3),
            "architectures_per_second": None if rate is None else round(rate, 1),
            "peak_memory_mb": peak_memory_mb(),
        }

    def _novelty(self) -> float | None:
        """Share of the valid draws outside the training set, in per cent."""
        if self.train_keys is None or not len(self.keys):
            return None
        known = np.isin(self.keys, self.train_keys)
        return round(100.0 * float(1 - known.mean()), 4)


def draw(model: ArchVQModel, asked: Draw, *, begun: float) -> Drawn:
    """Draws, and has the space itself judge what came out.

    Args:
        model: The model.
        asked: What to draw.
        begun: `time.perf_counter` at the start of the command.

    Raises:
        DataError: The training set is to be excluded and cannot be drawn again.
        SpaceExhaustedError: Fewer architectures are left.
        UsageError: The file of architectures cannot be read.
    """
    space = model.space
    load_seconds = time.perf_counter() - begun
    train_keys = _train_keys(model, needed=asked.exclude_train)
    avoid = _file_keys(space, asked.exclude) if asked.exclude is not None else None
    if asked.exclude_train and train_keys is not None:
        avoid = train_keys if avoid is None else np.union1d(avoid, train_keys)
    since = time.perf_counter()
    if asked.decoding == "paper":
        drawn = model.draw(asked.n, temperature=asked.temperature, seed=asked.seed)
        rows, _ = model.strict_rows(drawn)
    else:
        rows = model.sample_rows(
            asked.n,
            temperature=asked.temperature,
            seed=asked.seed,
            unique=asked.unique,
            exclude=frozenset() if avoid is None else avoid,
        )
    draw_seconds = time.perf_counter() - since
    # Asked of the space, which knows nothing of the tables and rules that the draws came from.
    rows = rows[space.valid(rows)]
    n_valid, keys = len(rows), space.keys(rows)
    if asked.decoding == "paper" and avoid is not None:
        kept = ~np.isin(keys, avoid)
        rows, keys = rows[kept], keys[kept]
    return Drawn(space, asked, rows, keys, n_valid, train_keys, load_seconds, draw_seconds)


def _train_keys(model: ArchVQModel, *, needed: bool) -> Keys | None:
    try:
        return np.sort(model.train_keys())
    except DataError:
        if needed:
            raise
        return None


def _file_keys(space: SearchSpace, file: Path) -> Keys:
    """Keys of the architectures in a file, one per line."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--exclude {file} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(space.parse(line.strip()))
            except InvalidArchitectureError as error:
                raise UsageError(f"--exclude {file}, line {number}: {error}") from error
    return space.keys(space.rows(found))


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far; ``None`` where it cannot be known."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


__all__ = ["Draw", "Drawn", "draw", "peak_memory_mb"]
