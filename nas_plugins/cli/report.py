"""``nas-plugins report``: an HTML page from a result, a study or a learned model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_plugins.cli._console import remark
from nas_plugins.cli._errors import UsageError


def report(
    *,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")],
    result: Annotated[
        Path | None, typer.Option(help="A result.json that `search --out` has written.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Storage of a study, as in `search`.", metavar="URL")
    ] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study.")] = None,
    latent: Annotated[
        str | None,
        typer.Option(
            help="An Arch-VQ model instead of a search: nasbench201, nasbench101, darts, or a "
            "folder that `train` has written.",
            metavar="MODEL",
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(help="With --latent: independent draws per temperature; 10,000 by default."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="With --latent: seed of the draws; 0 by default.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is no report.")
    ] = False,
) -> None:
    """Write a report as one HTML file that needs no network.

    Of a search: give --result, or --storage and --study. Of an Arch-VQ model, its codes and its
    draws: give --latent.
    """
    if [result, storage, latent].count(None) != 2:
        raise UsageError(
            "give one of --result FILE, --storage URL --study NAME, and --latent MODEL"
        )
    if study is not None and storage is None:
        raise UsageError("--study goes with --storage")
    if latent is None and (draws, seed) != (None, None):
        raise UsageError("--draws and --seed go with --latent")
    from nas_plugins.results import SearchResult, is_page
    from nas_plugins.runner.outputs import prepare_file, writing
    from nas_plugins.runner.studies import load_study

    prepare_file(out, is_page, force=force)
    if latent is not None:
        _write_latent(latent, 10_000 if draws is None else draws, seed or 0, out)
        return
    found = SearchResult.load(result) if result else load_study(str(storage), study, say=remark)
    with writing(out):
        found.report(out)
    remark(f"wrote {out}")


def _write_latent(name: str, draws: int, seed: int, out: Path) -> None:
    """Measures a model and writes its page."""
    from nas_plugins.report import measure, write_latent_report
    from nas_plugins.runner.options import at_least
    from nas_plugins.runner.outputs import writing
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

    at_least(1, draws=draws)
    at_least(0, seed=seed)
    # A folder goes before a name, so that one's own model cannot be mistaken for ours.
    own = Path(name).is_dir()
    model = ArchVQModel.load(name) if own else ArchVQModel.shipped(name)
    found = measure(model, name=name, draws=draws, seed=seed, say=remark)
    with writing(out):
        write_latent_report(found, out)
    remark(f"wrote {out}")
