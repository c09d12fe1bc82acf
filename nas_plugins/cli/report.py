"""``nas-plugins report``: an HTML page from a result, a study or a learned model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas_plugins.cli._console import remark
from nas_plugins.cli._errors import UsageError

if TYPE_CHECKING:
    from nas_plugins.results import SearchResult


def report(
    *,
    out: Annotated[Path, typer.Option(help="The HTML file to write, or a folder for it.")],
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
    single_file: Annotated[
        bool,
        typer.Option(
            "--single-file",
            help="Write one file, of 5 MB, as for mailing, instead of a small page and, beside "
            "it, the script that draws its plots.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is no report.")
    ] = False,
) -> None:
    """Write a report as an HTML page that needs no network.

    Of a search: give --result, or --storage and --study. Of an Arch-VQ model, its codes and its
    draws: give --latent.

    \f
    Long because its options are declared with their help.
    """
    if [result, storage, latent].count(None) != 2:
        raise UsageError(
            "give one of --result FILE, --storage URL --study NAME, and --latent MODEL"
        )
    if study is not None and storage is None:
        raise UsageError("--study goes with --storage")
    if latent is None and (draws, seed) != (None, None):
        raise UsageError("--draws and --seed go with --latent")
    from nas_plugins.report import LATENT_FILE, page_file
    from nas_plugins.results import REPORT_FILE, is_page
    from nas_plugins.runner.outputs import prepare_file, writing
    from nas_plugins.runner.progress import WaitingDisplay

    with writing(out):
        out = page_file(out, REPORT_FILE if latent is None else LATENT_FILE)
    prepare_file(out, is_page, force=force)
    with WaitingDisplay(f"writing {out}"):
        if latent is not None:
            n = 10_000 if draws is None else draws
            _write_latent(latent, n, seed or 0, out, single_file=single_file)
        else:
            found = _loaded(result, storage, study)
            with writing(out):
                found.report(out, single_file=single_file)
    remark(f"wrote {out}")


def _loaded(result: Path | None, storage: str | None, study: str | None) -> SearchResult:
    """A search that was saved, or that a storage holds."""
    from nas_plugins.results import SearchResult
    from nas_plugins.runner.studies import load_study

    return SearchResult.load(result) if result else load_study(str(storage), study, say=remark)


def _write_latent(name: str, draws: int, seed: int, out: Path, *, single_file: bool) -> None:
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
    found = measure(model, name=name, draws=draws, seed=seed)
    with writing(out):
        write_latent_report(found, out, single_file=single_file)
