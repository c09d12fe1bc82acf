"""``nas-plugins data``: the files that benchmarks are read from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_plugins.cli._console import print_json, print_lines, print_table, remark
from nas_plugins.cli._errors import ExitCode, UsageError

app = typer.Typer(
    help="List, fetch and verify the files that benchmarks are read from.", no_args_is_help=True
)

Name = Annotated[str | None, typer.Argument(help="A name that `data list` shows.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_files(as_json: Json = False) -> None:
    """List the files, what reads them, and which are there."""
    from nas_plugins.benchmarks import files

    found = files.listing()
    if as_json:
        print_json({"folder": str(files.data_dir()), "files": [f.to_json() for f in found]})
        return
    print_table(
        f"data files in {files.data_dir()}",
        ["name", "there", "benchmarks", "holds", "licence"],
        [
            (f.name, "yes" if f.found else "no", ", ".join(f.benchmarks), f.description, f.licence)
            for f in found
        ],
    )


@app.command("fetch")
def fetch(name: Name = None, as_json: Json = False) -> None:
    """Download a file, or go on with an interrupted download, and check it."""
    from nas_plugins.benchmarks import files
    from nas_plugins.runner.progress import DownloadDisplay

    if name is None:
        names = ", ".join(f.name for f in files.listing() if f.url)
        raise UsageError(f"`data fetch` needs a NAME: {names}")
    with DownloadDisplay(name) as display:
        path = files.fetch(name, progress=display)
    _answer(name, path, as_json)


@app.command("verify")
def verify(name: Name = None, as_json: Json = False) -> int:
    """Compare a file with its published checksum; without NAME every file that is there.

    The exit code is 3 unless every file has the checksum that is known for it.
    """
    from nas_plugins.benchmarks import files

    names = [name] if name else [file.name for file in files.listing() if file.found]
    outcomes = [files.verify(n) for n in names]
    if as_json:
        print_json({"files": [outcome.to_json() for outcome in outcomes]})
    else:
        print_lines(f"{o.file.name}: {o.status.value}: {o.detail}" for o in outcomes)
        if not outcomes:
            remark(f"no file is there ({files.data_dir()})")
    if unverified := [o.file.name for o in outcomes if o.usable and not o.ok]:
        remark(
            f"UNVERIFIED: {', '.join(unverified)}; nothing tells whether these are what was "
            "published, so use them only if you trust where they come from"
        )
    return ExitCode.OK if all(outcome.ok for outcome in outcomes) else ExitCode.DATA


@app.command("path")
def path(name: Name = None, as_json: Json = False) -> None:
    """Print where a file is; without NAME the folder of all files."""
    from nas_plugins.benchmarks import files

    _answer(name, files.path(name) if name else files.data_dir(), as_json)


def _answer(name: str | None, path: Path, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "path": str(path)})
    else:
        print_lines([str(path)])
