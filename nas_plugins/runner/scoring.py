"""`nap.score`: zero-cost proxies of architectures, or of networks of one's own, as a table."""

from __future__ import annotations

import html
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_plugins._checks import as_path
from nas_plugins._csv import csv_text
from nas_plugins._files import write_text
from nas_plugins._frozen import FrozenDict
from nas_plugins._public import space as space_of
from nas_plugins._reading import json_file, text
from nas_plugins._tables import aligned, data_frame, html_table
from nas_plugins.errors import DataError, InvalidArchitectureError, UsageError
from nas_plugins.evaluators.zero_cost.evaluator import Row, ZeroCostEvaluator
from nas_plugins.evaluators.zero_cost.ranking import AZ_NAS, rank_sum
from nas_plugins.protocols import Metric
from nas_plugins.runner.options import at_least
from nas_plugins.runner.progress import CountingDisplay
from nas_plugins.sampling import unseen
from nas_plugins.spaces.base import Architecture, SearchSpace

if TYPE_CHECKING:
    from pandas import DataFrame

    from nas_plugins.evaluators.zero_cost.proxy import Proxy

FORMATS = (".csv", ".json")
_ARROWS = {"max": "↑", "min": "↓"}
_FIRST, _LAST = ["architecture", "rank_sum"], ["seconds", "cached", "reason"]
_PARTS = {"space", "settings", "proxies", "rank_sum", "counts", "rows"}
_REASONS = 5
_SHOWN = 10
_NAN = "the value is not a number"

_Entry = tuple[str, Any]
"""What is scored under which text: an architecture, a network, or a row that is done already."""


@dataclass(frozen=True, eq=False)
class ScoreResult:
    """Scores as a table, in the order asked for.

    Attributes:
        rows: One per architecture or network: ``text``, ``values`` by proxy, ``reasons`` for
            what has no value, ``seconds``, ``cached``.
        rank_sums: Of each row, the greatest is the best; NaN where a row has no value or is
            the only one.
        metrics: Unit, direction and formula of the proxies.
        versions: Of the proxies, by name.
        settings: How they were scored, as plain data.
        ranked_by: The proxies in the rank sum.
        space: Whose architectures they are; ``None`` for networks of one's own.
        wanted: How many were asked for.
        seconds: What it took.
        interrupted: Whether Ctrl-C ended it before all had their turn.
    """

    rows: tuple[Row, ...]
    rank_sums: tuple[float, ...]
    metrics: tuple[Metric, ...]
    versions: Mapping[str, int]
    settings: Mapping[str, Any]
    ranked_by: tuple[str, ...]
    space: SearchSpace | None
    wanted: int
    seconds: float
    interrupted: bool = False

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows without any value."""
        return tuple(row for row in self.rows if row.failed)

    @property
    def best(self) -> Row | None:
        """The row with the greatest rank sum; ``None`` where nothing is ranked."""
        row, total = next(iter(self._by_rank()), (None, math.nan))
        return None if math.isnan(total) else row

    def to_json(self) -> dict[str, Any]:
        """Everything as strict JSON data; infinite values are the strings inf and -inf."""
        return {
            "space": None if self.space is None else self.space.to_json(),
            "settings": dict(self.settings),
            "proxies": [
                {
                    "name": m.name,
                    "version": self.versions[m.name],
                    "direction": m.direction,
                    "unit": m.unit,
                    "description": m.description,
                }
                for m in self.metrics
            ],
            "rank_sum": list(self.ranked_by),
            "status": "interrupted" if self.interrupted else "finished",
            "counts": {
                "wanted": self.wanted,
                "scored": len(self.rows) - len(self.failed),
                "failed": len(self.failed),
                "cached": sum(row.cached for row in self.rows),
            },
            "seconds": round(self.seconds, 3),
            "rows": [
                {
                    "architecture": row.text,
                    "values": {m.name: _plain(row.values.get(m.name)) for m in self.metrics},
                    "reasons": dict(row.reasons),
                    "rank_sum": _plain(total),
                    "seconds": round(row.seconds, 4),
                    "cached": row.cached,
                }
                for row, total in zip(self.rows, self.rank_sums, strict=True)
            ],
        }

    def to_dataframe(self) -> DataFrame:
        """The rows as a pandas data frame, columns as in a ``.csv`` file; NaN has a reason.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        names = [metric.name for metric in self.metrics]
        frame = data_frame(self._records(math.nan), self._columns())
        return frame.astype({"rank_sum": float, **dict.fromkeys(names, float), "cached": bool})

    def save(self, path: Path | str) -> Path:
        """Writes one line per row (``.csv``), or what `to_json` returns (``.json``).

        Raises:
            ValueError: The name ends otherwise.
            OSError: The file cannot be written.
        """
        file = as_path("path", path)
        if file.suffix not in FORMATS:
            raise UsageError(f"`path` must end in {' or '.join(FORMATS)}, got {file}")
        if file.suffix == ".json":
            text = json.dumps(self.to_json(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        else:
            text = csv_text([self._columns(), *self._records("")])
        write_text(file, text)
        return file

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and cells of every row as text, the best ranked first."""
        ranked = any(not math.isnan(total) for total in self.rank_sums)
        units = {m.name: f" [{m.unit}]" if m.unit else "" for m in self.metrics}
        headings = [f"{m.name} {_ARROWS[m.direction]}{units[m.name]}" for m in self.metrics]
        cells = []
        for row, total in self._by_rank():
            values = [row.values.get(metric.name, math.nan) for metric in self.metrics]
            cells.append([*map(_short, [total, *values][not ranked :]), row.text])
        return [*(["rank_sum ↑"] if ranked else []), *headings, "architecture"], cells

    def summary(self) -> list[str]:
        """Counts, and the reasons of what has no value, in lines."""
        cached = sum(row.cached for row in self.rows)
        parts = [f"{len(self.rows) - len(self.failed)} of {self.wanted} scored"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{cached} from the cache"] if cached else []
        lines = [", ".join(parts)]
        lines += [f"{row.text}: {_told(row.reasons)}" for row in self.failed[:_REASONS]]
        partly = [row for row in self.rows if not row.failed]
        gaps = Counter((name, why) for row in partly for name, why in row.reasons.items())
        for (name, why), number in gaps.most_common(_REASONS):
            lines.append(f"{name} has no value for {number}: {why}")
        return lines

    def __repr__(self) -> str:
        headings, cells = self.table()
        shown = [headings, *cells[:_SHOWN]] if cells else []
        lines = aligned(shown, right=range(len(headings) - 1))
        return "\n".join([*lines, *_more(cells), *self.summary()])

    def _repr_html_(self) -> str:
        headings, cells = self.table()
        below = "<br>".join(map(html.escape, [*_more(cells), *self.summary()]))
        return f"{html_table(headings, cells[:_SHOWN])}<p>{below}</p>"

    def _by_rank(self) -> list[tuple[Row, float]]:
        pairs = list(zip(self.rows, self.rank_sums, strict=True))
        return sorted(pairs, key=lambda p: math.inf if math.isnan(p[1]) else -p[1])

    def _columns(self) -> list[str]:
        names = [metric.name for metric in self.metrics]
        return [*_FIRST, *names, *_LAST]

    def _records(self, gap: object) -> Iterator[list[object]]:
        """The rows under `_columns`, with `gap` for what is not there."""
        for row, total in zip(self.rows, self.rank_sums, strict=True):
            values = [row.values.get(metric.name, gap) for metric in self.metrics]
            end = [round(row.seconds, 4), int(row.cached), _told(row.reasons)]
            yield [row.text, gap if math.isnan(total) else total, *values, *end]


def is_scores(file: Path) -> bool:
    """Whether `ScoreResult.save` has written the file, by the names of what it holds."""
    try:
        if file.suffix == ".json":
            found = json_file(file, "scores")
            return isinstance(found, dict) and set(found) >= _PARTS
        heading = text(file).partition("\n")[0].rstrip("\r").split(",")
    except DataError:
        return False
    return (heading[:2], heading[-3:]) == (_FIRST, _LAST)


def score(
    subject: Any,
    architectures: Sequence[str | Architecture] | None = None,
    *,
    n: int | None = None,
    proxies: str | Sequence[str | Proxy] = "default",
    preset: str = "fast",
    seed: int = 0,
    workers: int | None = None,
    cache: bool | str | Path = True,
    batch: Any = None,
    weights_seed: int | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> ScoreResult:
    """Scores architectures or networks by zero-cost proxies: one batch, no training.

    What is no architecture, and a network that fails, becomes a row with its reason. Ctrl-C ends
    it, and what is done is returned; the scores of a space are in the cache then.

    >>> nap.score("nasbench201", n=20, proxies=["meco", "synflow"]).best
    >>> nap.score(my_module)  # or {"mine": my_module, "other": lambda: build(width=2)}

    Args:
        subject: A space or its name, for architectures; or one's own networks: an
            ``nn.Module``, what builds one, several of these, or several by name. A module is
            scored with the weights it has and left as it was.
        architectures: Of the space, as such or in its notation.
        n: Sample so many different ones at random instead; a small space may have fewer.
        proxies: ``"default"`` (all but the expensive ones), ``"all"``, names, or `Proxy` objects.
        preset: ``"fast"``, ``"published"`` or ``"smoke"``: sizes of batch, images and network.
        seed: Of the sample, the images and the weights.
        workers: Processes for a space; by default one per CPU where there is enough to do.
        cache: Whether to keep a space's scores on disk, or in which folder.
        batch: Images, or a pair of images and labels, instead of noise. Networks of one's own
            also take sequences `(B, L, C)`, rows `(B, N)` or token ids `(B, L)`, as integers.
        weights_seed: Of the images and the weights, where it shall not be `seed`.
        progress: ``True`` shows on the standard error stream how far it is, ``False`` nothing;
            ``None`` shows a bar on a terminal and in a notebook.
        **settings: Fields of `nas_plugins.evaluators.zero_cost.settings.Settings` in the
            preset's place, such as ``batch_size=64``, ``input="digits"``, ``device="cuda"``.

    Raises:
        UnknownNameError: A space, proxy, preset or setting is not known; suggests the nearest.
        ValueError: An argument or setting is out of range, or does not fit the space.
        TypeError: An argument is of the wrong type.
        MissingDependencyError: PyTorch is not installed.

    Long because its parameters are listed twice, with types and in words.
    """
    begun = time.perf_counter()
    at_least(1, n=n, workers=workers)
    at_least(0, seed=seed)
    evaluator = ZeroCostEvaluator(
        proxies,
        preset=preset,
        cache=cache,
        workers=workers,
        batch=batch,
        seed=seed if weights_seed is None else weights_seed,
        **settings,
    )
    names = [metric.name for metric in evaluator.metrics]
    space = space_of(subject) if isinstance(subject, str) else subject
    if isinstance(space, SearchSpace):
        entries = _architectures(space, architectures, n, seed, names)
        work = _score_architectures
    elif architectures is None and n is None:
        entries, space, work = _networks(subject), None, _score_networks
    else:
        raise TypeError(
            f"`architectures` and `n` go with a space, got {type(subject).__name__} as `subject`"
        )
    open_ = [(text, one) for text, one in entries if not isinstance(one, Row)]
    known = {text: one for text, one in entries if isinstance(one, Row)}
    interrupted = False
    with CountingDisplay("scored", len(open_), shown=progress) as display:

        def on_row(row: Row) -> None:
            known[row.text] = row
            display.add(failed=row.failed)

        try:
            work(evaluator, open_, on_row)
        except KeyboardInterrupt:
            interrupted = True
    rows = tuple(known[text] for text, _ in entries if text in known)
    ranked_by = AZ_NAS if set(AZ_NAS) <= set(names) else tuple(names)
    return ScoreResult(
        rows=rows,
        rank_sums=_rank_sums(rows, ranked_by, evaluator.metrics),
        metrics=evaluator.metrics,
        versions={one.name: one.version for one in evaluator.proxies},
        settings=asdict(evaluator.settings),
        ranked_by=ranked_by,
        space=space,
        wanted=len(entries),
        seconds=time.perf_counter() - begun,
        interrupted=interrupted,
    )


def _architectures(
    space: SearchSpace,
    given: Sequence[str | Architecture] | None,
    n: int | None,
    seed: int,
    proxies: Sequence[str],
) -> list[_Entry]:
    """What to score, in order; what cannot be read is a row already."""
    if n is not None:
        if given is not None:
            raise UsageError("give `architectures` or `n`, not both")
        return [(str(a), a) for a in unseen(space, n, np.random.default_rng(seed))]
    if given is None or isinstance(given, str) or not len(given):
        raise UsageError("say what to score: give a list of `architectures`, or `n`")
    entries: list[_Entry] = []
    for position, one in enumerate(given):
        if isinstance(one, str):
            try:
                architecture = space.parse(one)
            except InvalidArchitectureError as error:
                reasons = dict.fromkeys(proxies, " ".join(str(error).split()))
                entries.append((one, Row(one, FrozenDict(), FrozenDict(reasons))))
                continue
        elif not isinstance(one, Architecture) or one.space != space:
            raise TypeError(
                f"`architectures[{position}]` must be text or an architecture of {space!r}, got "
                f"{one!r}"
            )
        else:
            architecture = one
        entries.append((str(architecture), architecture))
    return entries


def _score_architectures(
    evaluator: ZeroCostEvaluator, entries: Sequence[_Entry], on_row: Callable[[Row], None]
) -> None:
    evaluator.rows([architecture for _, architecture in entries], on_row=on_row)


def _networks(subject: Any) -> list[_Entry]:
    """One's own networks, or what builds them, by a name each."""
    from nas_plugins._torch import nn

    if isinstance(subject, Mapping):
        entries = [(str(name), network) for name, network in subject.items()]
    else:
        single = isinstance(subject, nn.Module) or not isinstance(subject, Sequence)
        networks = [subject] if single else list(subject)
        names = [getattr(one, "__name__", type(one).__name__) for one in networks]
        entries = [
            (name if names.count(name) == 1 else f"{name} #{position}", network)
            for position, (name, network) in enumerate(zip(names, networks, strict=True))
        ]
    if not entries:
        raise UsageError("`subject` must hold at least one network, got none")
    for name, network in entries:
        if isinstance(network, Architecture):
            raise TypeError("give architectures as `architectures`, and their space as `subject`")
        if not callable(network):  # a module is callable too
            raise TypeError(
                "`subject` must be a space, a torch.nn.Module, what builds one, or several of "
                f"these; {name!r} is of type {type(network).__name__}"
            )
    return entries


def _score_networks(
    evaluator: ZeroCostEvaluator, entries: Sequence[_Entry], on_row: Callable[[Row], None]
) -> None:
    for name, network in entries:
        scores = evaluator.score(network)
        values = {k: float(v) for k, v in scores.values.items() if not math.isnan(v)}
        gaps = {k: scores.reasons.get(k, _NAN) for k in scores.values if k not in values}
        on_row(Row(name, FrozenDict(values), FrozenDict(gaps), scores.seconds))


def _rank_sums(
    rows: Sequence[Row], names: Sequence[str], metrics: Sequence[Metric]
) -> tuple[float, ...]:
    """`rank_sum` of `names` over the rows that have values; NaN for the others."""
    chosen = [i for i, row in enumerate(rows) if not row.failed]
    totals = [math.nan] * len(rows)
    if len(chosen) > 1:
        scores = {name: [rows[i].values.get(name, math.nan) for i in chosen] for name in names}
        small = [m.name for m in metrics if m.direction == "min"]
        found = rank_sum(scores, names, smaller_is_better=small)
        for i, total in zip(chosen, found.tolist(), strict=True):
            totals[i] = total
    return tuple(totals)


def _told(reasons: Mapping[str, str]) -> str:
    """Reasons in a line, once where all are the same."""
    different = list(dict.fromkeys(reasons.values()))
    if len(different) == 1 and len(reasons) > 1:
        return different[0]
    return "; ".join(f"{name}: {why}" for name, why in reasons.items())


def _plain(value: float | None) -> float | str | None:
    """A value as strict JSON data."""
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.5g}"


def _more(cells: Sequence[object]) -> list[str]:
    return [f"... and {len(cells) - _SHOWN} more"] if len(cells) > _SHOWN else []
