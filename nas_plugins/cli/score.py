"""``nas-plugins score``: zero-cost proxies of architectures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_plugins.cli._console import print_json, print_lines, print_table, remark
from nas_plugins.cli._errors import ExitCode, UsageError
from nas_plugins.cli._options import Json, Quiet, Words, keep, panel, read_options

if TYPE_CHECKING:
    from nas_plugins.runner.scoring import ScoreResult

_what, _how = panel("What to score"), panel("How")
_STDIN = "-"


def score(
    architectures: Annotated[
        Words,
        typer.Argument(
            help="Architectures in the notation of the space; `-` reads them from the standard "
            "input stream, one per line.",
            metavar="[ARCHITECTURE]...",
            show_default=False,
        ),
    ] = None,
    *,
    space: Annotated[str, _what(help="Search space.")],
    space_option: Annotated[
        Words, _what(help="Option of the space; repeatable.", metavar="key=value")
    ] = None,
    n: Annotated[int | None, _what("-n", "--n", help="Sample so many at random.")] = None,
    proxies: Annotated[
        str,
        _how(help="Names separated by commas, `default` (all but the expensive ones) or `all`."),
    ] = "default",
    preset: Annotated[str, _how(help="fast, published or smoke; see --option.")] = "fast",
    images: Annotated[str | None, _how("--input", help="noise or digits.")] = None,
    seed: Annotated[int, _how(help="Of the sample, the images and the weights.")] = 0,
    option: Annotated[
        Words,
        _how(
            help="Setting in the preset's place: batch_size, resolution, size, channels, cells, "
            "classes, seed, device, precision, channels_last; repeatable.",
            metavar="key=value",
        ),
    ] = None,
    workers: Annotated[
        int | None, _how(help="Processes; by default one per CPU where there is enough to do.")
    ] = None,
    no_cache: Annotated[
        bool, _how("--no-cache", help="Neither read nor keep scores on disk.")
    ] = False,
    out: Annotated[Path | None, keep(help="File for the scores, .csv or .json.")] = None,
    force: Annotated[
        bool, keep("--force", help="Replace a file that `score` has not written.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Score architectures by zero-cost proxies: one batch, no training.

    What is no architecture, and a network that fails, becomes a row with its reason.
    \f
    Long because its options are declared with their help.
    """
    from nas_plugins.runner import scoring
    from nas_plugins.runner.options import as_usage
    from nas_plugins.runner.outputs import prepare_file, writing
    from nas_plugins.runner.problem import build_space

    if n is not None and n < 1:
        raise UsageError(f"-n must be >= 1, got {n}")
    if out is not None and out.suffix not in scoring.FORMATS:
        raise UsageError(f"--out must end in {' or '.join(scoring.FORMATS)}, got {out}")
    texts = _texts(architectures or [], n)
    built = build_space(space, read_options(space_option or (), "--space-option"))
    if out is not None:
        prepare_file(out, scoring.is_scores, force=force)
    with as_usage("zero-cost", (TypeError, ValueError)):
        result = scoring.score(
            built,
            texts,
            n=n,
            proxies=proxies,
            preset=preset,
            seed=seed,
            workers=workers,
            cache=not no_cache,
            progress=not quiet,
            **_settings(images, read_options(option or (), "--option")),
        )
    _say(result, n)
    if out is not None:
        with writing(out):
            result.save(out)
        if not quiet:
            remark(f"wrote {out}")
    if as_json:
        print_json(result.to_json())
    elif out is None:
        _show(result)
    if result.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.ALL_FAILED if len(result.failed) == len(result.rows) else ExitCode.OK


def _texts(words: Sequence[str], n: int | None) -> list[str] | None:
    """The architectures given, those of the standard input stream in their place."""
    if n is not None:
        if words:
            raise UsageError("give architectures or --n, not both")
        return None
    if not words and not sys.stdin.isatty():
        words = [_STDIN]
    texts: list[str] = []
    for word in words:
        texts += _standard_input() if word == _STDIN else [word]
    if not texts:
        raise UsageError("say what to score: give architectures, `-` or --n NUMBER")
    return texts


def _standard_input() -> list[str]:
    try:
        return [line.strip() for line in sys.stdin if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the standard input stream cannot be read: {error}") from error


def _settings(images: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """The settings, when each is one; `cache` or `workers` among them would be confusing."""
    from nas_plugins.evaluators.zero_cost.settings import Settings

    settings = options if images is None else {**options, "input": images}
    Settings.of(**settings)
    if "seed" in settings:
        settings["weights_seed"] = settings.pop("seed")
    return settings


def _say(result: ScoreResult, n: int | None) -> None:
    """What came otherwise than it was asked for."""
    if n is not None and result.space is not None and result.wanted < n:
        name, there = result.space.name, result.wanted
        remark(f"note: the space {name} has {there} distinct architectures, not {n}")
    if result.interrupted:
        unread = sum(row.architecture is None for row in result.rows)
        remark(
            f"interrupted after {len(result.rows) - unread} of {result.wanted - unread}; the "
            "same line goes on from there, as finished scores are cached"
        )


def _show(result: ScoreResult) -> None:
    """Prints the best-ranked first, and why values are missing under them."""
    if result.rows:
        headings, cells = result.table()
        print_table(None, headings, cells, right=headings[:-1], whole=True)
    print_lines(result.summary())
