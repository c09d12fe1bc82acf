"""The files that scripts write of comparisons: tables, runs, curves and settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nas_plugins._csv import csv_text
from nas_plugins.reproduction.comparison import Comparison
from nas_plugins.results import package_versions


def write_comparisons(found: Sequence[Comparison], texts: Sequence[str], out: Path) -> None:
    """Writes runs.csv, tables.md, curves.html and settings.json.

    Args:
        found: A row of runs.csv per run, budget and score, and a plot each.
        texts: The tables, in Markdown.
        out: Folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "tables.md").write_text("\n".join(texts), encoding="utf-8")
    with (out / "runs.csv").open("w", newline="", encoding="utf-8") as file:
        heads = ("strategy", "engine", "seed", "trials", "score", "value")
        rows: list[tuple[object, ...]] = [("benchmark", "objectives", "report", *heads)]
        for one in found:
            goals = " ".join(map(str, one.searched.objectives))
            case = (one.benchmark, goals, one.reported.objectives[0].name)
            rows += [(*case, *(row[head] for head in heads)) for row in one.scores]
        file.write(csv_text(rows))
    plots = [
        one.plot().to_html(full_html=False, include_plotlyjs=number == 0)
        for number, one in enumerate(found)
    ]
    page = f"<!doctype html><meta charset=utf-8><title>curves</title>{''.join(plots)}"
    (out / "curves.html").write_text(page, encoding="utf-8")
    settings = {"command": sys.argv[1:], "versions": dict(package_versions())}
    (out / "settings.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    print(f"wrote runs.csv, tables.md, curves.html and settings.json to {out}")
