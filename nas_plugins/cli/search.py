"""``nas-plugins search``: run a search, watch it, keep its result."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_plugins._secrets import without_passwords
from nas_plugins.cli._console import print_json, remark
from nas_plugins.cli._errors import ExitCode, in_options, show
from nas_plugins.cli._options import Json, Quiet, Words, keep, panel, read_options
from nas_plugins.cli._streams import until_enough

if TYPE_CHECKING:
    from nas_plugins.results import SearchResult
    from nas_plugins.runner.request import SearchRequest

_what, _how, _model = panel("What to search"), panel("How long"), panel("Language model")
_pair: Any = partial(_what, metavar="key=value")
_file: Any = partial(_model, metavar="FILE")


def search(
    *,
    context: typer.Context,
    space: Annotated[str | None, _what(help="Search space; the benchmark's by default.")] = None,
    benchmark: Annotated[
        str | None, _what(help="Table or surrogate, e.g. nasbench201/cifar10.")
    ] = None,
    evaluator: Annotated[
        Words, _what(help="Measures what the benchmark does not, or instead of it; repeatable.")
    ] = None,
    strategy: Annotated[str, _what(help="Search strategy.")] = "archive-evolution",
    objective: Annotated[
        Words,
        _what(
            help="Metric to optimise, e.g. val_accuracy:max or latency_ms:min; without the "
            "direction, the better one. surrogate.val_accuracy is the surrogate's. Repeatable.",
            metavar="METRIC[:max|:min]",
        ),
    ] = None,
    constraint: Annotated[
        Words,
        _what(
            help='Limit on a metric, e.g. "latency_ms<=5"; repeatable.', metavar="METRIC<=NUMBER"
        ),
    ] = None,
    strategy_option: Annotated[Words, _pair(help="Option of the strategy; repeatable.")] = None,
    benchmark_option: Annotated[Words, _pair(help="Option of the benchmark; repeatable.")] = None,
    evaluator_option: Annotated[
        Words,
        _pair(help="Option of the evaluator; of one of several: name.key=value. Repeatable."),
    ] = None,
    space_option: Annotated[Words, _pair(help="Option of the space; repeatable.")] = None,
    warm_start: Annotated[
        str | None,
        _how(
            help="Evaluator or table whose scores choose the first trials, e.g. zero-cost.",
            metavar="NAME",
        ),
    ] = None,
    warm_start_trials: Annotated[int | None, _how(help="How many trials it chooses.")] = None,
    warm_start_option: Annotated[
        Words,
        _how(
            help="pool=NUMBER, metrics=NAME,NAME, or an option of the evaluator as "
            "name.key=value; repeatable.",
            metavar="key=value",
        ),
    ] = None,
    trials: Annotated[int, _how(help="Trials in all, those of earlier runs included.")] = 100,
    timeout: Annotated[
        float | None, _how(help="Seconds after which no further trial begins.")
    ] = None,
    engine: Annotated[
        str, _how(help="What runs the trials: optuna, or an experiment of nni.", metavar="NAME")
    ] = "optuna",
    workers: Annotated[int, _how(help="Worker processes.")] = 1,
    pruner: Annotated[
        str,
        _how(
            help="Ends trials that fall behind while they are evaluated: median, hyperband or "
            "none. One objective only.",
            metavar="NAME",
        ),
    ] = "none",
    seed: Annotated[int | None, _how(help="Seed; drawn and shown by default.")] = None,
    llm: Annotated[
        str | None,
        _model(
            help="Chat model that the strategy asks: local, openai:MODEL, replay:FILE, null, ...",
            metavar="NAME",
        ),
    ] = None,
    llm_option: Annotated[
        Words, _model(help="Option of the chat model; repeatable.", metavar="key=value")
    ] = None,
    llm_calls: Annotated[
        int | None, _model(help="Most calls of the search, all workers and runs together.")
    ] = None,
    llm_tokens: Annotated[int | None, _model(help="Most tokens, likewise.")] = None,
    llm_usd: Annotated[
        float | None, _model(help="Most US dollars, likewise; needs --llm-prices.")
    ] = None,
    llm_seconds: Annotated[
        float | None, _model(help="Most seconds with a call under way.")
    ] = None,
    llm_prices: Annotated[
        Path | None, _file(help="TOML or JSON file with US dollars per million tokens.")
    ] = None,
    llm_ledger: Annotated[
        Path | None,
        _file(help="File for every call; with --out, llm-calls.jsonl in that folder by default."),
    ] = None,
    llm_record: Annotated[
        Path | None, _file(help="File for every reply, which --llm replay:FILE repeats.")
    ] = None,
    llm_cache: Annotated[
        Path | None,
        _file(help="File that replies are taken from where it has them, and added to."),
    ] = None,
    storage: Annotated[
        str | None,
        keep(
            help="sqlite:///FILE, journal:///FILE or a database URL; with --engine nni a folder; "
            "memory by default.",
            metavar="URL",
        ),
    ] = None,
    study: Annotated[
        str | None, keep(help="Name of the study in the storage, or of the experiment.")
    ] = None,
    resume: Annotated[bool, keep("--resume", help="Go on with the study.")] = False,
    take_over: Annotated[
        bool,
        keep(
            "--take-over",
            help="With --resume: mark trials failed that another machine left running.",
        ),
    ] = False,
    out: Annotated[
        Path | None, keep(help="Folder for result.json, trials.csv and report.html.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search a space for the best architectures.

    Progress goes to the standard error stream, the result to the standard output stream.
    Ctrl-C ends the search after the running trial and says how to go on.
    \f
    Long because its options are declared with their help.
    """
    from nas_plugins.runner.language_model import with_language_model
    from nas_plugins.runner.request import SearchRequest, named, with_stand_in
    from nas_plugins.runner.search import SearchBrokenError, run
    from nas_plugins.runner.storage import StorageURL

    model = {
        "name": llm,
        "options": read_options(llm_option, "--llm-option"),
        "calls": llm_calls,
        "tokens": llm_tokens,
        "usd": llm_usd,
        "seconds": llm_seconds,
        "ledger": llm_ledger,
        "record": llm_record,
        "cache": llm_cache,
        "prices": llm_prices,
    }
    strategy_options = read_options(strategy_option, "--strategy-option")
    request = SearchRequest(
        benchmark=benchmark,
        evaluators=named(evaluator),
        space=space,
        strategy=strategy,
        objectives=tuple(objective or ()),
        constraints=tuple(constraint or ()),
        benchmark_options=read_options(benchmark_option, "--benchmark-option"),
        evaluator_options=read_options(evaluator_option, "--evaluator-option"),
        space_options=read_options(space_option, "--space-option"),
        strategy_options=with_language_model(strategy, strategy_options, model),
        warm_start=warm_start,
        warm_start_trials=warm_start_trials,
        warm_start_options=read_options(warm_start_option, "--warm-start-option"),
        trials=trials,
        engine=engine,
        seed=seed,
        storage=StorageURL.parse(storage, engine=engine) if storage else None,
        study=study,
        resume=resume,
        take_over=take_over,
        workers=workers,
        timeout=timeout,
        pruner=pruner,
        out=out,
    )
    request, absent = with_stand_in(request)
    if absent:  # even if nothing else is to be shown
        remark(absent)
    broken = None
    try:
        result = run(request, shown=not quiet, words=in_options)
    except SearchBrokenError as error:
        result, broken = error.result, error
    _give_out(result, request, as_json=as_json, quiet=quiet)
    if broken is None or not broken.lost:
        _say_how_to_go_on(result, request, context.obj or [])
    return show(broken) if broken else _exit_code(result)


def _give_out(result: SearchResult, request: SearchRequest, *, as_json: bool, quiet: bool) -> None:
    """Writes the files of a result and prints it."""
    from nas_plugins.cli._output import print_result
    from nas_plugins.runner.search import write

    if request.out is not None:  # first, as nobody may read what is printed
        write(result, request.out, shown=not quiet)
        if not quiet:
            remark(f"wrote {request.out}")
    with until_enough():
        if as_json:
            print_json(result.summary())
        else:
            print_result(result)


def _finished(result: SearchResult) -> int:
    counts = result.counts()
    return counts["complete"] + counts["failed"] + counts["pruned"]


def _say_how_to_go_on(result: SearchResult, request: SearchRequest, words: list[str]) -> None:
    """After an end before time; `words` is the command line as it was given."""
    finished, status = _finished(result), result.settings["status"]
    if status == "finished" or finished >= request.trials:
        return
    given = request.storage
    kept = not given.in_memory if given else request.workers > 1 and request.out is not None
    if kept:
        way = f"to go on: {_resume_command(result, words)}"
    else:
        way = "they were kept in memory only; --storage and --study keep them"
    remark(f"{status} after {finished} of {request.trials} trials; {way}")


def _exit_code(result: SearchResult) -> int:
    early = {"interrupted": ExitCode.INTERRUPTED, "terminated": ExitCode.TERMINATED}
    if result.settings["status"] in early:
        return early[result.settings["status"]]
    if not result.history.complete:
        reason = next(iter(result.failures()), "none was begun")
        remark(
            f"error: no trial has a value ({_finished(result)} failed); the first reason: {reason}"
        )
        return ExitCode.ALL_FAILED
    return ExitCode.OK


def _resume_command(result: SearchResult, words: list[str]) -> str:
    """The same command line with what makes it go on."""
    line, settings = [without_passwords(word) for word in words], result.settings
    if "--storage" not in " ".join(line):
        line += ["--storage", settings["storage"], "--study", settings["study"]]
    if "--resume" not in line:
        line.append("--resume")
    return shlex.join(["nas-plugins", *line])
