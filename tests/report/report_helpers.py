"""What the tests of the report share: searches made up, and pages taken apart."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np

import nas_plugins as nap
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Objective, Trial
from nas_plugins.protocols import Metric
from nas_plugins.report import render_report
from nas_plugins.results import SearchResult

HOSTILE = '</script><script>alert(1)</script><img src="http://x.test/a.png" onerror="x">\ud800\0'
OBJECTIVES = (
    Objective("accuracy"),
    Objective("latency", "min"),
    Objective("energy", "min"),
    Objective("size", "min"),
)
VOID = {"meta", "wbr", "br", "col", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects elements, attributes and the text outside scripts; checks the nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        (self.scripts if inside == "script" else self.texts).append(data)

    @property
    def text(self) -> str:
        """All text; pieces of one element are not parted, so that notations stay whole."""
        return "".join(self.texts)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element `tag`."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """The plots by name, with their shared texts put in."""
        data = json.loads(self.scripts[0])
        figures: dict[str, dict[str, Any]] = _filled(data["figures"], data["shared"])
        return figures


def _filled(value: Any, shared: dict[str, list[str]]) -> Any:
    """Does what the script does in the browser, with one colour for all."""
    if isinstance(value, dict):
        if "$css" in value:
            return "#808080"
        if "$ref" in value:
            return [shared[value["$ref"]][i] for i in value["take"]]
        return {key: _filled(item, shared) for key, item in value.items()}
    return [_filled(item, shared) for item in value] if isinstance(value, list) else value


def made_up(
    n: int = 12, m: int = 2, *, space: str = "nasbench201", **options: Any
) -> SearchResult:
    """A random search with random values."""
    built = nap.space(space)
    rng = np.random.default_rng(0)
    architectures = built.architectures(built.random(n, rng))
    trials = [Trial(i, a, values=rng.random(m)) for i, a in enumerate(architectures)]
    return SearchResult(
        History(built, OBJECTIVES[:m], tuple(trials)),
        settings=FrozenDict({"strategy": "random", "seed": 0, "trials": n}),
        metrics=(Metric("accuracy", "%", "max"), Metric("latency", "ms", "min")),
        **options,
    )


def page_of(result: SearchResult) -> Page:
    """The report of a search, parsed."""
    return Page(render_report(result))
