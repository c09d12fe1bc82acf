"""Prompts: templates in files, versioned, filled with what a search may show.

A template's name and version, e.g. ``generation@1``, are part of every request, so a recorded
run tells which words it was made with. A changed text gets a new version and a new file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from string import Template

import numpy as np
import numpy.typing as npt

from nas_plugins._frozen import FrozenDict
from nas_plugins.history import Objective, Trial
from nas_plugins.spaces.base import Architecture
from nas_plugins.strategies.llm_coevolution.genes import Count, Genes
from nas_plugins.strategies.llm_coevolution.knowledge import GLOBAL, Rule
from nas_plugins.strategies.llm_coevolution.partition import Niche, Partition
from nas_plugins.strategies.llm_coevolution.words import clean, joined, named, number, quoted

HIDEABLE = ("benchmark", "dataset", "device", "operations", "metrics")
"""What prompts can keep to themselves, against a model that remembers a benchmark."""

VERSION = 1

_KNOWN_LIMIT = 2500
_LIST_LIMIT = 6000
_NONE = "(none)"


def template_id(name: str) -> str:
    """E.g. ``"generation@1"``."""
    return f"{name}@{VERSION}"


@lru_cache(maxsize=64)
def template(name: str, version: int = VERSION) -> Template:
    """A template by name and version."""
    folder = resources.files("nas_plugins.strategies.llm_coevolution") / "templates"
    return Template((folder / f"{name}.{version}.txt").read_text(encoding="utf-8").rstrip("\n"))


def render(name: str, /, **values: object) -> str:
    """Fills a template; a text that is filled in is never looked at for further names."""
    return template(name).substitute({key: str(value) for key, value in values.items()})


@dataclass(frozen=True)
class Shown:
    """A trial as a prompt shows it.

    Attributes:
        trial: The trial.
        standing: 0 best to 1 worst among those it was compared with.
        parts: The same per objective.
        made: How it was made, e.g. ``"crossover"``; empty where not known.
        rationale: What the model said of it.
    """

    trial: Trial
    standing: float = 0.0
    parts: tuple[float, ...] = ()
    made: str = ""
    rationale: str = ""


@dataclass(frozen=True)
class Prompts:
    """Writes the prompts of one search.

    Attributes:
        genes: The notation; hidden where operations are.
        objectives: Of the search.
        partition: Of the space.
        task: What else is known, e.g. ``{"dataset": "CIFAR-10", "device": "Edge GPU"}``.
        hide: Of `HIDEABLE`.
    """

    genes: Genes
    objectives: tuple[Objective, ...]
    partition: Partition
    task: FrozenDict[str]
    hide: frozenset[str] = frozenset()

    # -- whole prompts ---------------------------------------------------------------------

    @cached_property
    def system(self) -> str:
        """What holds for every question."""
        return render("system", length=self.genes.length, legend=self.genes.legend)

    @cached_property
    def small_system(self) -> str:
        """The same for a small model."""
        return render("small-system", length=self.genes.length)

    def generation(
        self,
        niche: Niche,
        *,
        n: int,
        crossover: bool,
        parents: Sequence[Shown],
        rules: Sequence[Rule],
        known: Iterable[Architecture],
    ) -> str:
        """Asks for `n` children of the parents."""
        return render(
            "generation",
            task=self.task_line,
            objectives=self.objective_line,
            constraint=self.constraint(niche),
            rules=self.rule_lines(rules),
            parents=self.trial_lines(parents),
            known=self._known(known),
            instruction=render("crossover" if crossover else "mutation"),
            n=n,
        )

    def small_generation(self, *, n: int, parents: Sequence[Shown]) -> str:
        """Asks a small model: the parents' genes, to be continued."""
        rows = "\n".join(self.genes.format(shown.trial.architecture) for shown in parents)
        return render("small-generation", parents=rows, n=n)

    def knowledge(
        self, niche: Niche, *, candidates: Sequence[Shown], rules: Sequence[Rule]
    ) -> str:
        """Asks for edits of the rules."""
        return render(
            "knowledge",
            task=self.task_line,
            objectives=self.objective_line,
            constraint=self.constraint(niche),
            candidates=self.trial_lines(candidates, standing=True),
            rules=self.rule_lines(rules),
        )

    def small_knowledge(self, *, candidates: Sequence[Shown]) -> str:
        """Asks a small model for a rule or two."""
        rows = (f"t{s.trial.number} {self.genes.format(s.trial.architecture)}" for s in candidates)
        return render("small-knowledge", candidates="\n".join(rows))

    def repair(self, niche: Niche, *, n: int, usable: int, reasons: str) -> str:
        """Asks once more, with the reasons."""
        constraint = self.constraint(niche)
        return render("repair", n=n, usable=usable, reasons=reasons, constraint=constraint)

    # -- pieces ----------------------------------------------------------------------------

    @cached_property
    def task_line(self) -> str:
        """What is searched and on what, as far as it may be told."""
        told = {"benchmark": self.genes.space.name, **self.task}
        parts = [
            f"{clean(name, 40)} {quoted(value, 80)}"
            for name, value in told.items()
            if name not in self.hide
        ]
        return f"Task: {', '.join(parts)}." if parts else "Task: an architecture search."

    @cached_property
    def objective_names(self) -> tuple[str, ...]:
        """The objectives' names, or numbers in their stead."""
        if "metrics" in self.hide:
            return tuple(f"objective {i}" for i in range(1, len(self.objectives) + 1))
        return tuple(named(self._without_source(o.name)) for o in self.objectives)

    @property
    def objective_line(self) -> str:
        """The objectives and which way is better."""
        if "metrics" in self.hide:
            return ", ".join(f"{name} (0 is best, 1 is worst)" for name in self.objective_names)
        words = {"min": "lower is better", "max": "higher is better"}
        named = zip(self.objective_names, self.objectives, strict=True)
        return ", ".join(f"{name} ({words[o.direction]})" for name, o in named)

    def constraint(self, niche: Niche) -> str:
        """What every architecture of a niche has in common."""
        count = self.count(niche)
        if count is not None:
            tokens = " or ".join(map(str, self.genes.token_of(count.choice)))
            many = _many(count, self.genes.length)
            plain = f"{many} of the {self.genes.length} numbers are {tokens}"
            return plain if self.genes.hidden else f"{quoted(niche.label, 160)}, that is, {plain}"
        if self.partition.kind != "axis":
            return quoted(niche.label, 160)
        if self.genes.hidden or self.hide & {"benchmark", "dataset", "device", "metrics"}:
            return f"size {_between(niche.low, niche.high)}"
        return f"{quoted(niche.label, 160)} (the size shown below)"

    def count(self, niche: Niche) -> Count | None:
        """How many decisions take which choice, where that makes the niche."""
        axis = self.partition.axis
        if axis is None or axis.count_of is None:
            return None
        numbers = self.partition.counts(niche)
        return Count(axis.count_of, numbers.start, numbers.stop - 1)

    def rule_lines(self, rules: Sequence[Rule]) -> str:
        """The rules, one a line."""
        lines = []
        for rule in rules:
            scope = "global" if rule.scope == GLOBAL else "niche"
            trials = ", ".join(map(str, rule.evidence))
            lines.append(
                f"{rule.id} {rule.polarity} ({scope}) {quoted(rule.text, 200)} (trials {trials})"
            )
        return joined(lines, limit=_LIST_LIMIT) or _NONE

    def trial_lines(self, trials: Sequence[Shown], *, standing: bool = False) -> str:
        """Trials with genes and values, one a line."""
        sizes = self._sizes([shown.trial.architecture for shown in trials])
        lines = []
        for shown, size in zip(trials, sizes, strict=True):
            parts = [f"trial {shown.trial.number}: {self.genes.format(shown.trial.architecture)}"]
            parts += [self._values(shown)] + ([f"size {number(size)}"] if size is not None else [])
            parts += [f"standing {shown.standing:.2f}"] if standing else []
            parts += [shown.made] if shown.made else []
            parts += [quoted(shown.rationale, 200)] if shown.rationale else []
            lines.append(" | ".join(part for part in parts if part))
        return joined(lines, limit=_LIST_LIMIT) or _NONE

    def _values(self, shown: Shown) -> str:
        if not shown.trial.values:
            return shown.trial.state.value
        values = shown.parts if "metrics" in self.hide else shown.trial.values
        told = ", ".join(
            f"{name} {number(v)}" for name, v in zip(self.objective_names, values, strict=False)
        )
        return told if shown.trial.violation <= 0 else f"{told} (breaks a constraint)"

    def _sizes(self, architectures: Sequence[Architecture]) -> Sequence[float | None]:
        """Values on the axis where the model has no other way to know them."""
        axis = self.partition.axis
        if axis is None or axis.count_of is not None or not architectures:
            return [None] * len(architectures)
        rows: npt.NDArray[np.integer] = self.genes.space.rows(architectures)
        found: list[float] = self.partition.values(rows).tolist()
        return found

    def _known(self, known: Iterable[Architecture]) -> str:
        return joined(map(self.genes.format, known), limit=_KNOWN_LIMIT) or _NONE

    def _without_source(self, name: str) -> str:
        """``latency_ms`` of ``hw-nas-bench/cifar10/edgegpu.latency_ms`` where that is hidden."""
        sources = {"benchmark", "dataset", "device"}
        return name.rpartition(".")[2] if self.hide & sources else name


def off_niche_reason(
    prompts: Prompts, niche: Niche, architecture: Architecture, where: int
) -> str | None:
    """Why an architecture that lies in niche `where` cannot serve `niche`."""
    if where == niche.index:
        return None
    count = prompts.count(niche)
    if count is not None and prompts.partition.axis is not None:
        found = int(prompts.partition.axis.measure([architecture])[0])
        return f"{_many(count, prompts.genes.length)} wanted, got {found}"
    if prompts.partition.axis is None:
        return "it is in another group"
    rows = architecture.row[None]
    size = float(prompts.partition.values(rows)[0])
    return f"size {number(size)} is not {_between(niche.low, niche.high)}"


def _many(count: Count, most: int) -> str:
    if count.low == count.high:
        return f"exactly {count.low}"
    return f"at least {count.low}" if count.high >= most else f"{count.low} to {count.high}"


def _between(low: float, high: float) -> str:
    if math.isinf(low):
        return "anything" if math.isinf(high) else f"below {number(high)}"
    return f"at least {number(low)}" + ("" if math.isinf(high) else f" and below {number(high)}")


def checked_task(task: Mapping[str, str]) -> FrozenDict[str]:
    """The task as plain texts.

    Raises:
        TypeError: A name or value is not a text.
    """
    for name, value in dict(task).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"`task` must map texts to texts, got {name!r}: {value!r}")
    return FrozenDict(task)


__all__ = [
    "HIDEABLE",
    "VERSION",
    "Prompts",
    "Shown",
    "checked_task",
    "off_niche_reason",
    "render",
    "template",
    "template_id",
]
