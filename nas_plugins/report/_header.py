"""Head and foot of the report: what was searched, how it went, how to repeat it."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

from nas_plugins._markup import Markup, element, join
from nas_plugins.report._curves import REFERENCE
from nas_plugins.report._format import columns, count, duration, limit_text, under
from nas_plugins.report._tables import copied, pairs_table, tile
from nas_plugins.results import SearchResult


def default_title(result: SearchResult) -> str:
    """What was searched, in a few words."""
    name = str(result.settings.get("benchmark") or result.history.space.name)
    return f"Architecture search: {name}"


def header(result: SearchResult, title: str) -> Markup:
    """Title, one sentence, headline figures and the facts of the search."""
    return element(
        "header",
        element("h1", title),
        element("p", _sentence(result), class_="lead"),
        _warning(result),
        element("ul", *_tiles(result), class_="tiles"),
        _facts(result),
    )


def settings(result: SearchResult, told: Markup | None = None) -> Markup:
    """Command, settings and versions.

    Args:
        result: The search.
        told: What the strategy adds.
    """
    asked = {
        name: element("code", _written(value))
        for name, value in result.settings.items()
        if name != "command" and value not in (None, [], {}, ())
    }
    parts: list[Markup | None] = []
    command = repeat_command(result)
    if command:
        parts += [
            element("h3", "Repeat this search"),
            copied(command, "Copy command", "notation command"),
            _caveat(result),
        ]
    parts.append(told)
    tables = []
    if asked:
        table = pairs_table(asked, head=("Setting", "Value"))
        tables.append(element("div", element("h3", "Settings"), table))
    if result.versions:
        table = pairs_table(dict(result.versions), head=("Package", "Version"))
        tables.append(element("div", element("h3", "Versions"), table))
    return join([*parts, element("div", *tables, class_="pair")])


def repeat_command(result: SearchResult) -> str | None:
    """The command that repeats the search: as recorded, or from the command line's settings."""
    settings = result.settings
    recorded = settings.get("command")
    if recorded:
        return recorded if isinstance(recorded, str) else shlex.join(map(str, recorded))
    if "strategy" not in settings or "trials" not in settings:
        return None
    words = ["nas-plugins", "search", "--space", result.history.space.name]
    if settings.get("benchmark"):
        words += ["--benchmark", str(settings["benchmark"])]
    for name in settings.get("evaluators") or ():
        words += ["--evaluator", str(name)]
    words += ["--strategy", str(settings["strategy"])]
    for objective in result.history.objectives:
        words += ["--objective", str(objective)]
    for constraint in settings.get("constraints") or ():
        words += ["--constraint", str(constraint)]
    for kind in ("space", "benchmark", "evaluator", "strategy"):
        for key, value in (settings.get(f"{kind}_options") or {}).items():
            words += _option_words(kind, key, value)
    words += ["--trials", str(settings["trials"])]
    if settings.get("seed") is not None:
        words += ["--seed", str(settings["seed"])]
    return shlex.join(words)


def _option_words(kind: str, key: str, value: Any) -> list[str]:
    """An option as the command line reads it back: as JSON unless it is text that is none."""
    if kind == "strategy" and key == "llm":
        return ["--llm", str(value)]
    if kind == "strategy" and key == "llm_options" and isinstance(value, Mapping):
        return [word for k, v in value.items() for word in ("--llm-option", _assigned(k, v))]
    return [f"--{kind}-option", _assigned(key, value)]


def _assigned(key: str, value: Any) -> str:
    return f"{key}={value if _is_plain(value) else json.dumps(value, default=str)}"


def _is_plain(value: Any) -> bool:
    """Whether it is text that JSON would not read as something else."""
    if not isinstance(value, str):
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return True
    return False


def _caveat(result: SearchResult) -> Markup | None:
    """Why the command may give other trials than these."""
    reasons = []
    if result.settings.get("resumed"):
        reasons.append("was resumed")
    if result.settings.get("workers") not in (None, 1):
        reasons.append("ran in several workers, whose order is not fixed")
    if result.settings.get("timeout"):
        reasons.append("had a time limit")
    if not reasons:
        return None
    text = f"This search {' and '.join(reasons)}, so a repetition may differ from it."
    return element("p", text, class_="caption")


def _sentence(result: SearchResult) -> str:
    goals = [
        f"{'maximised' if o.direction == 'max' else 'minimised'} {o.name}"
        for o in result.history.objectives
    ]
    goal = " and ".join([", ".join(goals[:-1]), goals[-1]] if len(goals) > 1 else goals)
    strategy = result.settings.get("strategy")
    who = f"Strategy {strategy}" if strategy else "A search"
    return f"{who} {goal}{under(result)} over {count(result.counts()['trials'], 'trial')}."


def _warning(result: SearchResult) -> Markup | None:
    history, counts = result.history, result.counts()
    if not counts["trials"]:
        text = "No trial has been run yet, so there is nothing to plot."
    elif not history.complete:
        text = (
            f"No trial is complete: {counts['failed']} failed, {counts['pruned']} pruned, "
            f"{counts['running']} running. There is nothing to plot."
        )
    elif counts["infeasible"] == counts["complete"]:
        text = "No complete trial satisfies all constraints."
    elif not any(all(map(math.isfinite, t.values)) for t in history.complete):
        text = "Every complete trial has an infinite value, so there is nothing to plot."
    else:
        return None
    return element("p", text, class_="warning", role="status")


def _tiles(result: SearchResult) -> list[Markup]:
    history, quality, counts = result.history, result.quality(), result.counts()
    shown = columns(result)
    tiles = []
    feasible = [t for t in history.complete if t.violation <= 0]
    if "hv_ratio" in quality:
        note = "of the true front\N{RIGHT SINGLE QUOTATION MARK}s hypervolume"
        tiles.append(tile("Hypervolume ratio", f"{quality['hv_ratio']:.4f}", note))
    if len(shown) > 1 and feasible:
        size = len({t.architecture.key for t in history.front})
        true = len(result.true_front)
        note = (
            f"architectures; the true front{under(result)} has {count(true, 'point')}"
            if true
            else "architectures"
        )
        tiles.append(tile("Found front", f"{size:,}", note))
    for i, column in enumerate(shown):
        if feasible:
            best = min(t.values[i] * column.objective.sign for t in feasible)
            value = best * column.objective.sign
            direction = "lowest" if column.objective.direction == "min" else "highest"
            tiles.append(tile(column.name, column(value), f"{direction} found{under(result)}"))
    if "regret" in quality:
        optimum = result.true_front[0][0]
        text = f"{quality['regret']:.4g}" + (
            f"\N{NARROW NO-BREAK SPACE}{shown[0].unit}" if shown[0].unit else ""
        )
        note = f"from the optimum{under(result)}, {shown[0](optimum)}"
        tiles.append(tile("Regret", text, note))
    tiles.append(tile("Trials", f"{counts['complete']:,}", f"complete of {counts['trials']:,}"))
    return tiles


def _facts(result: SearchResult) -> Markup:
    history, counts, quality = result.history, result.counts(), result.quality()
    asked = result.settings
    space = history.space
    states = [
        f"{counts[s]:,} {s}" for s in ("complete", "failed", "pruned", "running") if counts[s]
    ]
    if counts.get("fallback"):
        states.append(f"{counts['fallback']:,} random, as the strategy failed")
    if counts["infeasible"]:
        states.append(f"{counts['infeasible']:,} of the complete ones infeasible")
    facts: dict[str, Any] = {
        "Space": f"{space.name}: {count(len(space.decisions), 'decision')}, "
        f"{_size(space.size)} architectures",
        "Benchmark": _benchmark(asked),
        "Source of the numbers": result.source,
        "Strategy": asked.get("strategy"),
        "Objectives": ", ".join(
            f"{c.name}{f' ({c.unit})' if c.unit else ''}, {c.wish}" for c in columns(result)
        ).replace("better, ", "better; "),
        "Constraints": "; ".join(limit_text(result, c) for c in result.limits.values()),
        "Seed": asked.get("seed"),
        "Trials": ", ".join(states) or "none",
        "Distinct architectures": f"{counts['distinct']:,}",
        "Time": duration(result.seconds) if result.seconds else None,
    }
    if "hv_ratio" in quality:
        text = f"hypervolume ratio {quality['hv_ratio']:.4f} (FN axes, reference {REFERENCE})"
        if "hv_ratio_ref1" in quality:
            text += f", {quality['hv_ratio_ref1']:.4f} (reference 1.0)"
        facts["Quality"] = f"{text}, IGD {quality['igd']:.4f}, IGD+ {quality['igd_plus']:.4f}"
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", _written(value)))
            for name, value in facts.items()
            if value not in (None, "")
        ),
        class_="facts",
    )


def _benchmark(asked: Mapping[str, Any]) -> str | None:
    """Name of the benchmark, and of the one that it served for."""
    name, meant = asked.get("benchmark"), asked.get("stands_in_for")
    return f"{name}, as the files of {meant} were absent" if meant else name


def _size(size: int) -> str:
    if size < 10**9:
        return f"{size:,}"
    exponent = len(str(size)) - 1
    superscript = str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{int(str(size)[:3]) / 100:.1f} \N{MULTIPLICATION SIGN} 10{superscript}"


def _written(value: Any) -> str:
    """A setting as text: strings as they are, lists and mappings without their brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_written(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_written, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
