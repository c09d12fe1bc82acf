"""``nas-plugins report``: an HTML page from a result, a study or a learned model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_plugins.cli._console import remark
from nas_plugins.cli._errors import OutputError, UsageError

if TYPE_CHECKING:
    import optuna

    from nas_plugins.results import SearchResult
    from nas_plugins.runner.request import SearchRequest


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
        int, typer.Option(help="With --latent: independent draws per temperature.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(help="With --latent: seed of the draws.")] = 0,
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
    from nas_plugins.results import SearchResult
    from nas_plugins.runner.outputs import prepare_file, writing

    prepare_file(out)
    if latent is not None:
        _write_latent(latent, draws, seed, out)
        return
    found = SearchResult.load(result) if result else from_storage(str(storage), study)
    with writing(out):
        found.report(out)
    remark(f"wrote {out}")


def _write_latent(name: str, draws: int, seed: int, out: Path) -> None:
    """Measures a model and writes its page."""
    for option, value, least in (("--draws", draws, 1), ("--seed", seed, 0)):
        if value < least:
            raise UsageError(f"{option} must be >= {least}, got {value}")
    from nas_plugins.report import measure, write_latent_report
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

    # A folder goes before a name, so that one's own model cannot be mistaken for ours.
    own = Path(name).is_dir()
    model = ArchVQModel.load(name) if own else ArchVQModel.shipped(name)
    remark(f"drawing {draws:,} architectures at each temperature")
    found = measure(model, name=name, draws=draws, seed=seed)
    try:
        write_latent_report(found, out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    remark(f"wrote {out}")


def from_storage(storage: str, name: str | None) -> SearchResult:
    """Reads a study of any origin as a result.

    Of a study of ``nas-plugins search`` the benchmark is opened again, for the true front.

    Args:
        storage: URL.
        name: Of the study; may be ``None`` where the storage holds one.

    Raises:
        EngineError: The storage cannot be read.
        UsageError: It holds several studies and `name` is ``None``.
        UnknownNameError: It holds no such study.
    """
    import optuna

    from nas_plugins.errors import unknown_name
    from nas_plugins.runner.storage import StorageURL, open_storage, storage_errors

    url = StorageURL.parse(storage)
    opened = open_storage(url, create=False, write=False)
    with storage_errors(url):
        names = optuna.get_all_study_names(opened.storage)
        if name is None and len(names) != 1:
            raise UsageError(f"{url} holds {len(names)} studies; choose one with --study")
        name = name or names[0]
        if name not in names:
            raise unknown_name(f"study of {url}", name, names)
        study = optuna.load_study(study_name=name, storage=opened.storage)
        return _read(study, str(url))


def _read(study: optuna.Study, url: str) -> SearchResult:
    from nas_plugins._frozen import FrozenDict
    from nas_plugins.errors import NasPluginsError
    from nas_plugins.optuna import study_settings
    from nas_plugins.runner.problem import prepare
    from nas_plugins.runner.results import assemble, with_problem

    recorded = study_settings(study)
    settings: dict[str, Any] = {
        **(recorded.get("settings") or {}),
        "seed": recorded.get("seed"),
        "storage": url,
        "study": study.study_name,
    }
    result = replace(assemble(study), settings=FrozenDict(settings))
    request = _request(settings, result)
    if request is None:
        return result
    try:
        problem = prepare(request)
        return with_problem(result, problem, problem.true_front())
    except NasPluginsError as error:
        remark(f"note: the report goes without the true front: {error}")
        return result


def _request(settings: dict[str, Any], result: SearchResult) -> SearchRequest | None:
    """What the study searches, where `nas-plugins search` has made it."""
    from nas_plugins.runner.request import SearchRequest, named

    # What only proposes need not be built again: it may want a key, or hours of training.
    if not settings.get("benchmark") and not settings.get("evaluators"):
        return None
    history = result.history
    over = bool(settings.get("benchmark"))
    return SearchRequest(
        benchmark=settings.get("benchmark"),
        evaluators=named(settings.get("evaluators", ())),
        space=None if over else history.space.name,
        strategy="random",
        objectives=tuple(map(str, history.objectives)),
        constraints=tuple(settings.get("constraints", ())),
        benchmark_options=settings.get("benchmark_options", {}),
        evaluator_options=settings.get("evaluator_options", {}),
        space_options={} if over else history.space.options,
    )


__all__ = ["from_storage", "report"]
