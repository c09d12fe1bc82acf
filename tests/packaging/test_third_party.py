"""A third party's space, strategy and evaluator, by entry point, are served as ours are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins import _public
from nas_plugins.cli import main
from nas_plugins.drawing import draw
from nas_plugins.strategies.llm_coevolution.axes import axis
from nas_plugins.strategies.warm_start import WarmStart

_PLUGINS = '''
"""What a distribution of somebody else holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import nas_plugins as nap
from nas_plugins import sections
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.llm import Budget, ChatRequest, ChatSession, Message, chat_model
from nas_plugins.sampling import FreshDraws

OPERATIONS = ("conv3x3", "pool", "skip")
EDGES = ((0, 1), (0, 2), (1, 2))


class Triangle(nap.SearchSpace):
    """A cell of three nodes with an operation on each of three edges."""

    default_axis = "n_conv3x3"
    decision_noun = "sides"
    network_sizes = {"tiny": {"width": 2}, "training": {"width": 3}}
    network_width = "width"

    def __init__(self):
        names = [f"{target}<-{source}" for source, target in EDGES]
        super().__init__("triangle", [nap.Decision(name, OPERATIONS) for name in names])

    def format(self, architecture):
        return "/".join(architecture.choices.values())

    def parse(self, text):
        words = text.split("/")
        if len(words) != len(EDGES):
            raise InvalidArchitectureError(f"expected three operations, got {text!r}")
        return self.architecture(dict(zip([d.name for d in self.decisions], words)))

    @property
    def node_operations(self):
        return ("input", *OPERATIONS, "output")

    def graphs(self, rows):
        """The line graph: the first edge leads to the third, the second stands beside them."""
        adjacency = np.zeros((len(rows), 5, 5), dtype=np.uint8)
        adjacency[:, [0, 0, 1, 2, 3], [1, 2, 3, 4, 4]] = 1
        operations = np.full((len(rows), 5), len(OPERATIONS) + 1, dtype=np.int16)
        operations[:, 0] = 0
        operations[:, 1:4] = np.asarray(rows) + 1
        return adjacency, operations

    def from_graph(self, graph):
        found = self.parse("/".join(graph.labels[1:4]))
        if self.graph(found) != graph:
            raise InvalidArchitectureError("not the graph of a triangle")
        return found

    def edge_cells(self, architecture):
        return {"": [(*e, op) for e, op in zip(EDGES, architecture.choices.values())]}


def build(architecture, *, width=64, classes=10, in_channels=3):
    """Builds a triangle's network."""
    from torch import nn

    convolutions = 1 + list(architecture.choices.values()).count("conv3x3")
    layers, inputs = [], in_channels
    for _ in range(convolutions):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


@dataclass(frozen=True)
class Oracle(nap.Strategy):
    """Asks a language model for each architecture."""

    asks_language_model = True
    takes_task = True

    llm: str = "local"
    llm_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    task: Mapping[str, str] = field(default_factory=dict, hash=False)
    max_calls: int | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    max_seconds: float | None = None
    prices: Any = field(default=None, hash=False)
    ledger: Any = None
    store: Any = None
    mode: str = "live"

    def propose(self, history, n, rng):
        session = ChatSession(
            chat_model(self.llm, **self.llm_options),
            budget=Budget(max_calls=self.max_calls),
            ledger=self.ledger,
            mode=self.mode,
            store=self.store,
        )
        found = FreshDraws(history, rng).random(n)
        for architecture in found:
            question = Message("user", f"Is {architecture} a good cell?")
            session.ask(ChatRequest((question,), uniform=lambda rng: "yes"))
        asked = self.task.get("benchmark", "nothing")
        return [nap.Proposal(a, FrozenDict({"oracle": f"asked of {asked}"})) for a in found]

    @classmethod
    def summary(cls, history, settings):
        asked = sum("oracle" in trial.notes for trial in history.trials)
        line = f"the oracle was asked {asked} times"
        return sections.StrategySummary("oracle", {"asked": asked}, (line,))

    @classmethod
    def sections(cls, history, settings):
        said = sections.Text("Nothing <b>new</b>.")
        return (sections.Section("oracle", "What the oracle said", (said,)),)


class Pools(nap.Evaluator):
    """Counts what takes time and what takes memory."""

    def __init__(self, *, weight=1.0):
        self.weight = weight

    @classmethod
    def options_for(cls, use, metrics=()):
        return {"weight": 2.0} if use == "ranking" else {}

    @property
    def metrics(self):
        return (nap.Metric("time", "ms", "min"), nap.Metric("memory", "M", "min"))

    def evaluate(self, architectures):
        words = [list(a.choices.values()) for a in architectures]
        return [
            {
                "time": self.weight * (1.0 + w.count("conv3x3")),
                "memory": 1.0 + w.count("pool") + 0.5 * w.count("skip"),
            }
            for w in words
        ]
'''

_ENTRY_POINTS = """
[nas_plugins.spaces]
triangle = somebody_else:Triangle
[nas_plugins.networks]
triangle = somebody_else:build
[nas_plugins.strategies]
oracle = somebody_else:Oracle
[nas_plugins.evaluators]
pools = somebody_else:Pools
"""

_SEARCH = ("search", "--space", "triangle", "--evaluator", "pools", "--objective", "time:min",
           "--objective", "memory:min", "--trials", "8", "--seed", "0", "--out", "out",
           "--llm", "null")  # fmt: skip


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution ``somebody-else`` on the path, and an empty folder to work in."""
    site, work = tmp_path / "site", tmp_path / "work"
    info = site / "somebody_else-1.0.dist-info"
    info.mkdir(parents=True)
    work.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody-else\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    (site / "somebody_else.py").write_text(_PLUGINS)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "somebody_else", raising=False)
    monkeypatch.chdir(work)


def _run(*words: str) -> None:
    assert main(list(words)) == 0


def _sections() -> list[str]:
    page = Path("out/report.html").read_text(encoding="utf-8")
    return re.findall(r'<section id="([^"]+)"', page)


def test_niches_lie_along_the_axis_that_the_space_declares() -> None:
    space = nap.space("triangle")
    found = axis("auto", space)
    assert found.name == "n_conv3x3"
    assert found.measure_rows(np.array([[0, 0, 2]])).tolist() == [2]


def test_its_networks_are_small_where_ours_are() -> None:
    pytest.importorskip("torch")
    from nas_plugins.evaluators.training.networks import network_options

    space = nap.space("triangle")
    cell = space.parse("conv3x3/pool/skip")
    assert network_options(space, {}, classes=7, in_channels=1) == {
        "width": 3,
        "classes": 7,
        "in_channels": 1,
    }
    scores = nap.evaluator("zero-cost", preset="smoke", proxies=["params"], cache=False)
    network = space.network(cell, width=2)
    expected = sum(weight.numel() for weight in network.parameters()) / 1e6
    assert scores.evaluate([cell])[0]["params"] == pytest.approx(expected)


def test_its_cells_are_drawn_as_cells() -> None:
    picture = draw(nap.space("triangle").parse("conv3x3/pool/skip"))
    assert picture.count("<circle") == 2 * 3


def test_its_evaluator_ranks_with_the_options_that_it_declares() -> None:
    assert _public.measuring("pools", "ranking").weight == 2.0  # type: ignore[attr-defined]
    start = WarmStart("random", evaluator="pools", n=1, pool=27, metrics=("time",))
    space = nap.space("triangle")
    history = nap.History(space, (nap.Objective("time", "min"),))
    (proposal,) = start.propose(history, 1, np.random.default_rng(0))
    assert "conv3x3" not in str(proposal.architecture)


def test_its_strategy_declares_what_it_takes() -> None:
    declared = _public.strategy_class("oracle")
    assert declared.asks_language_model
    assert declared.takes_task
    assert not _public.strategy_class("random").asks_language_model


def test_its_strategy_tells_of_the_search_as_ours_does(capsys: pytest.CaptureFixture[str]) -> None:
    _run(*_SEARCH, "--strategy", "oracle", "--llm-calls", "100", "--json")
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["oracle"] == {"asked": 8}
    assert json.loads(Path("out/result.json").read_text())["details"]["oracle"] == {"asked": 8}
    assert "oracle" in _sections()
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "Nothing &lt;b&gt;new&lt;/b&gt;." in page
    assert Path("out/llm-calls.jsonl").read_text().count("\n") >= 8


def test_our_strategy_reports_on_its_space_as_on_ours() -> None:
    few = ("--strategy", "llm-coevolution", "--strategy-option", "n_initial=1", "--quiet")
    _run(*_SEARCH, *few)
    theirs = _sections()
    for file in Path("out").iterdir():
        file.unlink()
    ours = ("search", "--space", "nasbench201", "--evaluator", "complexity", "--objective",
            "params_m:min", "--objective", "flops_m:min", "--trials", "8", "--seed", "0",
            "--out", "out", "--llm", "null")  # fmt: skip
    _run(*ours, *few)
    assert theirs == _sections()
