"""`nap.sample`: architectures sampled from a learned model, and what they are worth, measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import as_path
from nas_plugins._files import write_text
from nas_plugins._public import space as space_of
from nas_plugins._reading import text
from nas_plugins.errors import DataError, InvalidArchitectureError, UnknownNameError, UsageError
from nas_plugins.runner.options import at_least
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace

if TYPE_CHECKING:
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

Keys = npt.NDArray[Any]

_DECODINGS = ("strict", "paper")


@dataclass(frozen=True, eq=False)
class SampleResult:
    """Architectures sampled from a model, and measurements; iterate over it.

    Attributes:
        space: The space.
        rows: The architectures as rows of choices: those that are valid and not excluded.
        model: Where the model comes from.
        n: How many were asked for.
        seed: Seed.
        temperature: What the logits were divided by.
        decoding: ``"strict"`` or ``"paper"``.
        unique: Whether it was without replacement.
        validity: Valid samples in per cent of `n`, the excluded ones included, as the space
            itself judges them.
        distinct: Number of different canonical keys.
        novelty: Share outside the model's training set, in per cent; ``None`` where that
            cannot be told.
        seconds: What all of it took.
        cpu_seconds: Time of the processors.
        load_seconds: From the start to the loaded model.
        sampling_seconds: Sampling alone.
        peak_memory_mb: Largest resident memory of this process so far; ``None`` where the
            platform does not say.
    """

    space: SearchSpace
    rows: Rows
    model: str
    n: int
    seed: int
    temperature: float
    decoding: str
    unique: bool
    validity: float
    distinct: int
    novelty: float | None
    seconds: float
    cpu_seconds: float
    load_seconds: float
    sampling_seconds: float
    peak_memory_mb: float | None

    @cached_property
    def architectures(self) -> list[Architecture]:
        """The architectures."""
        return self.space.architectures(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self.architectures)

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data, without the architectures."""
        took = self.sampling_seconds
        return {
            "model": self.model,
            "space": self.space.name,
            "n": self.n,
            "returned": len(self),
            "seed": self.seed,
            "temperature": self.temperature,
            "decoding": self.decoding,
            "unique": self.unique,
            "validity": round(self.validity, 4),
            "distinct": self.distinct,
            "novelty": None if self.novelty is None else round(self.novelty, 4),
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "load_seconds": round(self.load_seconds, 3),
            "draw_seconds": round(took, 3),
            "architectures_per_second": round(len(self) / took, 1) if took else None,
            "peak_memory_mb": self.peak_memory_mb,
        }

    def save(self, path: Path | str) -> Path:
        """Writes the architectures, one per line.

        Raises:
            OSError: The file cannot be written.
        """
        file = as_path("path", path)
        write_text(file, "".join(f"{architecture}\n" for architecture in self))
        return file

    def summary(self) -> str:
        """The figures in a sentence."""
        new = "" if self.novelty is None else f", {self.novelty:.2f} % not in the training set"
        memory = self.peak_memory_mb
        used = "" if memory is None else f", {memory:,.0f} MB at most"
        took = self.sampling_seconds
        rate = f" ({len(self) / took:,.0f} architectures/s)" if took else ""
        return (
            f"{self.n:,} draws from {self.space.name} ({self.model}), temperature "
            f"{self.temperature:g}, seed {self.seed}: {self.validity:.2f} % valid, "
            f"{self.distinct:,} distinct{new}; {self.seconds:.1f} s, of which drawing "
            f"{took:.1f} s{rate}{used}"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary()}>"


def sample(
    space: str | SearchSpace | None = None,
    n: int = 10,
    *,
    model: ArchVQModel | Path | str | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    decoding: str = "strict",
    unique: bool | None = None,
    exclude: Path | Iterable[Architecture | str] = (),
    exclude_train: bool = False,
) -> SampleResult:
    """Samples architectures from an Arch-VQ model.

    >>> result = nap.sample("nasbench201", 1000, seed=0)
    >>> result.architectures[0], result.validity, result.novelty

    Args:
        space: A space or its name: the model that comes with the package, or one that is
            learned on the first use and kept in the user's cache. ``"darts"`` means
            ``"darts-cell"``, one cell for both as in the paper. May be left out with `model`.
        n: How many.
        model: A model, or the folder that `nap.train` has written.
        seed: Seed.
        temperature: Divides the logits; above 1 is more even.
        decoding: ``"strict"``: every sample is valid. ``"paper"``: whatever comes out, and
            what is no architecture counts against the validity and is left out.
        unique: Sample without replacement; the default with ``"strict"``.
        exclude: Architectures not to sample, or a file of them, one per line.
        exclude_train: Sample nothing of the model's training set.

    Raises:
        UnknownNameError: The space is not known, or there is no model of it.
        DataError: The model is torn or foreign, or its training set cannot be sampled again.
        SpaceExhaustedError: Fewer architectures are left.
        ValueError: An argument is out of range, or the model is of another space.

    Long because its parameters are listed twice, with types and in words.
    """
    begun, cpu_begun = time.perf_counter(), time.process_time()
    _check(n, seed, temperature, decoding, unique)
    unique = decoding == "strict" if unique is None else unique
    used, origin = _model(space, model)
    load_seconds = time.perf_counter() - begun
    judge = used.space
    train_keys = _train_keys(used, needed=exclude_train)
    avoid = _keys(judge, exclude)
    if exclude_train and train_keys is not None:
        avoid = np.union1d(avoid, train_keys) if len(avoid) else train_keys
    since = time.perf_counter()
    if decoding == "paper":
        graphs = used.draw(n, temperature=temperature, seed=seed)
        rows, _ = used.strict_rows(graphs)
    else:
        rows = used.sample_rows(
            n,
            temperature=temperature,
            seed=seed,
            unique=unique,
            exclude=avoid if len(avoid) else frozenset(),
        )
    sampling_seconds = time.perf_counter() - since
    # Asked of the space, which knows nothing of the tables and rules that the samples came from.
    rows = rows[judge.valid(rows)]
    n_valid, keys = len(rows), judge.keys(rows)
    if decoding == "paper" and len(avoid):
        kept = ~np.isin(keys, avoid)
        rows, keys = rows[kept], keys[kept]
    novelty = None
    if train_keys is not None and len(keys):
        novelty = 100.0 * float(1 - np.isin(keys, train_keys).mean())
    return SampleResult(
        space=judge,
        rows=rows,
        model=origin,
        n=n,
        seed=seed,
        temperature=temperature,
        decoding=decoding,
        unique=unique,
        validity=100.0 * n_valid / n,
        distinct=len(np.unique(keys)),
        novelty=novelty,
        seconds=time.perf_counter() - begun,
        cpu_seconds=time.process_time() - cpu_begun,
        load_seconds=load_seconds,
        sampling_seconds=sampling_seconds,
        peak_memory_mb=_peak_memory_mb(),
    )


def is_samples(file: Path, *, space: SearchSpace | None, model: Path | None) -> bool:
    """Whether a file holds nothing but architectures as `sample` writes them, one per line.

    Raises:
        DataError: The model is torn or foreign.
    """
    if model is not None:
        from nas_plugins.strategies.arch_vq.model import ArchVQModel

        space = ArchVQModel.load(model).space
    elif space is None:
        return False
    cells = space.cell_space()
    try:
        return all(str(cells.parse(line)) == line for line in text(file).splitlines())
    except (DataError, InvalidArchitectureError):
        return False


def _check(n: int, seed: int, temperature: float, decoding: str, unique: bool | None) -> None:
    at_least(1, n=n)
    at_least(0, seed=seed)
    if not temperature > 0:
        raise UsageError(f"`temperature` must be > 0, got {temperature}")
    if decoding not in _DECODINGS:
        raise UsageError(f"`decoding` must be {' or '.join(_DECODINGS)}, got {decoding}")
    if unique and decoding == "paper":
        raise UsageError(
            "`unique=True` goes with `decoding=strict`; the paper draws independently"
        )


def _model(
    space: str | SearchSpace | None, model: ArchVQModel | Path | str | None
) -> tuple[ArchVQModel, str]:
    """The model and where it comes from: given, a folder, the package, or the cache."""
    from nas_plugins.strategies.arch_vq.loading import trained
    from nas_plugins.strategies.arch_vq.model import ArchVQModel
    from nas_plugins.strategies.arch_vq.shipped import shipped_names

    built = space_of(space) if isinstance(space, str) else space
    wanted = None if built is None else built.cell_space()
    if isinstance(model, (str, Path)):
        loaded, origin = ArchVQModel.load(model), str(model)
    elif isinstance(model, ArchVQModel):
        loaded, origin = model, "a model of one's own"
    elif model is not None:
        raise TypeError(f"`model` must be a model or its folder, got {model!r}")
    elif wanted is None:
        raise UsageError("say what to sample from: give `space` or `model`")
    elif wanted.model_name in shipped_names():
        return ArchVQModel.shipped(wanted.model_name), f"shipped: {wanted.model_name}"
    else:
        try:
            return trained(wanted), "learned on its first use, kept in the cache"
        except ValueError as error:
            raise UnknownNameError(
                f"no model of {wanted.name!r} comes with the package, and it must be learned "
                f"with care; run: nas-plugins train arch-vq --space {wanted.name} --out DIR, "
                "then: nas-plugins sample --model DIR"
            ) from error
    if wanted is not None and loaded.space != wanted:
        raise UsageError(
            f"`model={origin}` is of the space {loaded.space.name!r}, not {wanted.name!r}; "
            "leave `space` out"
        )
    return loaded, origin


def _train_keys(model: ArchVQModel, *, needed: bool) -> Keys | None:
    try:
        return np.sort(model.train_keys())
    except DataError:
        if needed:
            raise
        return None


def _keys(space: SearchSpace, exclude: Path | Iterable[Architecture | str]) -> Keys:
    """Keys of architectures given as such, as text, or in a file."""
    given: Iterable[Architecture | str]
    where, given = "`exclude`", ()
    if not isinstance(exclude, Path):
        given = exclude
    else:
        where = f"`exclude={exclude}`"
        try:
            given = text(exclude).splitlines()
        except DataError as error:
            raise UsageError(f"{where} cannot be read: {error}") from error
    found = []
    for number, one in enumerate(given, start=1):
        if isinstance(one, Architecture):
            found.append(one)
        elif one.strip():
            try:
                found.append(space.parse(one.strip()))
            except InvalidArchitectureError as error:
                raise UsageError(f"{where}, line {number}: {error}") from error
    return space.keys(space.rows(found))


def _peak_memory_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
