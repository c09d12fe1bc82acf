"""``nas-plugins score``: zero-cost proxies of architectures."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_plugins.cli._console import print_json, remark
from nas_plugins.cli._errors import ExitCode, UsageError

if TYPE_CHECKING:
    from nas_plugins.cli._scored import Scored, Wanted
    from nas_plugins.evaluators.zero_cost.evaluator import ZeroCostEvaluator
    from nas_plugins.spaces.base import SearchSpace

_WHAT, _HOW, _KEEP = "What to score", "How", "What to keep"
_STDIN = "-"
_FORMATS = (".csv", ".json")


def score(
    architectures: Annotated[
        list[str] | None,
        typer.Argument(
            help="Architectures in the notation of the space; `-` reads them from the standard "
            "input stream, one per line.",
            metavar="[ARCHITECTURE]...",
            show_default=False,
        ),
    ] = None,
    *,
    space: Annotated[str, typer.Option(help="Search space.", rich_help_panel=_WHAT)],
    space_option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the space; repeatable.", metavar="key=value", rich_help_panel=_WHAT
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("-n", "--n", help="Draw so many at random.", rich_help_panel=_WHAT),
    ] = None,
    proxies: Annotated[
        str,
        typer.Option(
            help="Names separated by commas, `default` (all but the expensive ones) or `all`.",
            rich_help_panel=_HOW,
        ),
    ] = "default",
    preset: Annotated[
        str,
        typer.Option(help="fast, published or smoke; see --option.", rich_help_panel=_HOW),
    ] = "fast",
    images: Annotated[
        str | None,
        typer.Option("--input", help="noise or digits.", rich_help_panel=_HOW),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the draw, the images and the weights.", rich_help_panel=_HOW)
    ] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="Setting in the preset's place: batch_size, resolution, size, channels, cells, "
            "classes, seed, device, precision, channels_last; repeatable.",
            metavar="key=value",
            rich_help_panel=_HOW,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes; by default one per CPU where there is enough to do.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache", help="Neither read nor keep scores on disk.", rich_help_panel=_HOW
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="File for the scores, .csv or .json.", rich_help_panel=_KEEP),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON document.", rich_help_panel=_KEEP),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=_KEEP)
    ] = False,
) -> int:
    """Score architectures by zero-cost proxies: one batch, no training.

    What is no architecture, and a network that fails, becomes a row with its reason.
    """
    begun = time.perf_counter()
    _check(n, seed, workers, out)
    from nas_plugins.cli._options import read_options
    from nas_plugins.runner.outputs import prepare_file
    from nas_plugins.runner.problem import build_space

    built = build_space(space, read_options(space_option or (), "--space-option"))
    wanted = _wanted(built, architectures or [], n, seed)
    settings = {"seed": seed, **read_options(option or (), "--option")}
    if images is not None:
        settings["input"] = images
    evaluator = _evaluator(proxies, preset, settings, workers, cache=not no_cache)
    if out is not None:
        prepare_file(out)
    scored = _run(evaluator, wanted, quiet=quiet)
    document = scored.document(built, time.perf_counter() - begun)
    if out is not None:
        scored.write(document, out)
        if not quiet:
            remark(f"wrote {out}")
    if as_json:
        print_json(document)
    elif out is None:
        scored.show()
    if scored.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.ALL_FAILED if all(row.failed for row in scored.rows) else ExitCode.OK


def _check(n: int | None, seed: int, workers: int | None, out: Path | None) -> None:
    for name, value, least in (("-n", n, 1), ("--seed", seed, 0), ("--workers", workers, 1)):
        if value is not None and value < least:
            raise UsageError(f"{name} must be >= {least}, got {value}")
    if out is not None and out.suffix not in _FORMATS:
        raise UsageError(f"--out must end in {' or '.join(_FORMATS)}, got {out}")


def _wanted(space: SearchSpace, words: Sequence[str], n: int | None, seed: int) -> list[Wanted]:
    """What to score, in order; what cannot be read carries its reason."""
    from nas_plugins.cli._scored import Wanted

    if n is not None:
        if words:
            raise UsageError("give architectures or --n, not both")
        return [Wanted(str(a), a) for a in _drawn(space, n, seed)]
    if not words and not sys.stdin.isatty():
        words = [_STDIN]
    texts: list[str] = []
    for word in words:
        texts += _standard_input() if word == _STDIN else [word]
    if not texts:
        raise UsageError("say what to score: give architectures, `-` or --n NUMBER")
    return [Wanted.read(space, text) for text in texts]


def _drawn(space: SearchSpace, n: int, seed: int) -> list[Any]:
    import numpy as np

    from nas_plugins.sampling import unseen

    drawn = unseen(space, n, np.random.default_rng(seed))
    if len(drawn) < n:
        remark(f"note: the space {space.name} has {len(drawn)} distinct architectures, not {n}")
    return drawn


def _standard_input() -> list[str]:
    try:
        return [line.strip() for line in sys.stdin if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the standard input stream cannot be read: {error}") from error


def _evaluator(
    proxies: str, preset: str, settings: dict[str, Any], workers: int | None, *, cache: bool
) -> ZeroCostEvaluator:
    from nas_plugins.evaluators.zero_cost.evaluator import ZeroCostEvaluator

    try:
        return ZeroCostEvaluator(
            proxies, preset=preset, cache=cache, workers=workers, **_known(settings)
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"zero-cost: {error}") from error


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, when each is one; `cache` or `workers` among them would be confusing."""
    from nas_plugins.evaluators.zero_cost.settings import Settings

    Settings.of(**settings)
    return settings


def _run(evaluator: ZeroCostEvaluator, wanted: Sequence[Wanted], *, quiet: bool) -> Scored:
    """Scores what can be, and keeps what is done on Ctrl-C."""
    from nas_plugins.cli._counting import counter
    from nas_plugins.cli._scored import Scored

    readable = [w for w in wanted if w.architecture is not None]
    counted = counter("scored", len(readable), quiet=quiet)
    finished: list[Any] = []

    def on_row(row: Any) -> None:
        finished.append(row)
        counted.add(failed=row.failed)

    interrupted = False
    try:
        with counted:
            evaluator.rows([w.architecture for w in readable if w.architecture], on_row=on_row)
    except KeyboardInterrupt:
        interrupted = True
        remark(
            f"interrupted after {len(finished)} of {len(readable)}; the same line goes on from "
            "there, as finished scores are cached"
        )
    except ValueError as error:
        raise UsageError(f"zero-cost: {error}") from error
    return Scored.of(evaluator, wanted, finished, interrupted=interrupted)


__all__ = ["score"]
