"""``nas-plugins search``: run a search, watch it, keep its result."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas_plugins.cli import _llm_words as words
from nas_plugins.cli._console import print_json, remark
from nas_plugins.cli._errors import ExitCode, UsageError, show

if TYPE_CHECKING:
    from nas_plugins.runner.request import Outcome, Request

_WHAT, _HOW, _KEEP = "What to search", "How long", "What to keep"
_KEY_VALUE = "key=value"


def search(
    *,
    context: typer.Context,
    space: Annotated[
        str | None,
        typer.Option(help="Search space; the benchmark's by default.", rich_help_panel=_WHAT),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(help="Table or surrogate, e.g. nasbench201/cifar10.", rich_help_panel=_WHAT),
    ] = None,
    evaluator: Annotated[
        list[str] | None,
        typer.Option(
            help="Measures what the benchmark does not, or instead of it; repeatable.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="Search strategy.", rich_help_panel=_WHAT)
    ] = "archive-evolution",
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="Metric to optimise, e.g. val_accuracy:max or latency_ms:min; without the "
            "direction, the better one. surrogate.val_accuracy is the surrogate's. Repeatable.",
            metavar="METRIC[:max|:min]",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            help='Limit on a metric, e.g. "latency_ms<=5"; repeatable.',
            metavar="METRIC<=NUMBER",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    strategy_option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the strategy; repeatable.", metavar=_KEY_VALUE, rich_help_panel=_WHAT
        ),
    ] = None,
    benchmark_option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the benchmark; repeatable.", metavar=_KEY_VALUE, rich_help_panel=_WHAT
        ),
    ] = None,
    evaluator_option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the evaluator; of one of several: name.key=value. Repeatable.",
            metavar=_KEY_VALUE,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    space_option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the space; repeatable.", metavar=_KEY_VALUE, rich_help_panel=_WHAT
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            help="Evaluator or table whose scores choose the first trials, e.g. zero-cost.",
            metavar="NAME",
            rich_help_panel=_HOW,
        ),
    ] = None,
    warm_start_trials: Annotated[
        int | None, typer.Option(help="How many trials it chooses.", rich_help_panel=_HOW)
    ] = None,
    warm_start_option: Annotated[
        list[str] | None,
        typer.Option(
            help="pool=NUMBER, metrics=NAME,NAME, or an option of the evaluator as "
            "name.key=value; repeatable.",
            metavar=_KEY_VALUE,
            rich_help_panel=_HOW,
        ),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(help="Trials in all, those of earlier runs included.", rich_help_panel=_HOW),
    ] = 100,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds after which no further trial begins.", rich_help_panel=_HOW),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="What runs the trials: optuna, or an experiment of nni.",
            metavar="NAME",
            rich_help_panel=_HOW,
        ),
    ] = "optuna",
    workers: Annotated[int, typer.Option(help="Worker processes.", rich_help_panel=_HOW)] = 1,
    pruner: Annotated[
        str,
        typer.Option(
            help="Ends trials that fall behind while they are evaluated: median, hyperband or "
            "none. One objective only.",
            metavar="NAME",
            rich_help_panel=_HOW,
        ),
    ] = "none",
    seed: Annotated[
        int | None,
        typer.Option(help="Seed; drawn and shown by default.", rich_help_panel=_HOW),
    ] = None,
    llm: words.Name = None,
    llm_option: words.Option = None,
    llm_calls: words.Calls = None,
    llm_tokens: words.Tokens = None,
    llm_usd: words.USD = None,
    llm_seconds: words.Seconds = None,
    llm_prices: words.Prices = None,
    llm_ledger: words.Ledger = None,
    llm_record: words.Record = None,
    llm_cache: words.Cache = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="sqlite:///FILE, journal:///FILE or a database URL; with --engine nni a folder; "
            "memory by default.",
            metavar="URL",
            rich_help_panel=_KEEP,
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            help="Name of the study in the storage, or of the experiment.", rich_help_panel=_KEEP
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study.", rich_help_panel=_KEEP)
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="With --resume: mark trials failed that another machine left running.",
            rich_help_panel=_KEEP,
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for result.json, trials.csv and report.html.", rich_help_panel=_KEEP
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON document.", rich_help_panel=_KEEP),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=_KEEP)
    ] = False,
) -> int:
    """Search a space for the best architectures.

    Progress goes to the standard error stream, the result to the standard output stream.
    Ctrl-C ends the search after the running trial and says how to go on.
    """
    from nas_plugins.runner.engines import check_engine, parse_storage

    check_engine(engine, pruner=pruner, take_over=take_over)
    _check(engine, storage, study, resume, take_over)
    _check_numbers(trials, workers, seed, timeout)
    if warm_start is None and (warm_start_trials is not None or warm_start_option):
        raise UsageError("--warm-start-trials and --warm-start-option go with --warm-start NAME")
    from nas_plugins.cli._options import read_options
    from nas_plugins.cli._output import print_result
    from nas_plugins.runner.language_model import OPTION as LLM_OPTION
    from nas_plugins.runner.language_model import LLMPlan, ledger
    from nas_plugins.runner.outputs import prepare_folder, write_folder
    from nas_plugins.runner.problem import Plan
    from nas_plugins.runner.request import Request
    from nas_plugins.runner.search import run
    from nas_plugins.runner.stand_in import with_stand_in
    from nas_plugins.runner.warm_start import OPTION, WarmStartPlan

    warm_options = read_options(warm_start_option or (), OPTION)
    model = LLMPlan(
        name=llm,
        options=read_options(llm_option or (), LLM_OPTION),
        calls=llm_calls,
        tokens=llm_tokens,
        usd=llm_usd,
        seconds=llm_seconds,
        ledger=llm_ledger,
        record=llm_record,
        cache=llm_cache,
        prices=llm_prices,
    )
    strategy_options = read_options(strategy_option or (), "--strategy-option")
    plan, note = with_stand_in(
        Plan(
            benchmark=benchmark,
            evaluators=tuple(evaluator or ()),
            space=space,
            strategy=strategy,
            objectives=tuple(objective or ()),
            constraints=tuple(constraint or ()),
            benchmark_options=read_options(benchmark_option or (), "--benchmark-option"),
            evaluator_options=read_options(evaluator_option or (), "--evaluator-option"),
            space_options=read_options(space_option or (), "--space-option"),
            strategy_options=model.joined(strategy, strategy_options),
            warm_start=WarmStartPlan(warm_start, warm_start_trials, warm_options)
            if warm_start
            else None,
        )
    )
    if note:
        remark(note)
    request = Request(
        plan,
        trials=trials,
        engine=engine,
        seed=seed,
        url=parse_storage(engine, storage) if storage else None,
        study=study,
        resume=resume,
        take_over=take_over,
        workers=workers,
        timeout=timeout,
        pruner=pruner,
        out=out,
        quiet=quiet,
    )
    if out is not None:
        prepare_folder(out)
    with ledger(plan, out=out, workers=workers, resume=resume) as noting:
        outcome = _told(run(replace(request, plan=noting)), benchmark)
    if as_json:
        print_json(outcome.result.summary())
    else:
        print_result(outcome.result)
    _say_how_to_go_on(outcome, request, context.obj or [])
    if out is not None:
        write_folder(outcome.result, out)
        if not quiet:
            remark(f"wrote {out}")
    return _exit_code(outcome)


def _told(outcome: Outcome, benchmark: str | None) -> Outcome:
    """The outcome with what only the command line knows: `benchmark` is what was asked for."""
    from nas_plugins._frozen import FrozenDict
    from nas_plugins.cli._coevolution import with_story
    from nas_plugins.runner.stand_in import stood_in

    result = with_story(outcome.result)
    settings = FrozenDict(stood_in(dict(result.settings), benchmark))
    return replace(outcome, result=replace(result, settings=settings))


def _check(
    engine: str, storage: str | None, study: str | None, resume: bool, take_over: bool
) -> None:
    if resume and storage is None:
        raise UsageError("--resume needs --storage URL and --study NAME")
    if storage is not None and study is None:
        known = _known(engine, storage) if resume else ""
        raise UsageError(f"--storage needs --study NAME{known}")
    if study is not None and storage is None:
        raise UsageError("--study needs --storage URL")
    if take_over and not resume:
        raise UsageError("--take-over goes with --resume")


def _check_numbers(trials: int, workers: int, seed: int | None, timeout: float | None) -> None:
    for name, value, least in (("trials", trials, 1), ("workers", workers, 1), ("seed", seed, 0)):
        if value is not None and value < least:
            raise UsageError(f"--{name} must be >= {least}, got {value}")
    if timeout is not None and not timeout > 0:
        raise UsageError(f"--timeout must be > 0, got {timeout}")


def _known(engine: str, storage: str) -> str:
    """The studies that could be meant."""
    from nas_plugins.runner.engines import parse_storage, studies_in

    names = studies_in(engine, parse_storage(engine, storage))
    return f"; there is {', '.join(sorted(names))}" if names else ""


def _finished(outcome: Outcome) -> int:
    counts = outcome.result.counts()
    return counts["complete"] + counts["failed"] + counts["pruned"]


def _say_how_to_go_on(outcome: Outcome, request: Request, words: list[str]) -> None:
    """After an end before time; `words` is the command line as it was given."""
    from nas_plugins.runner.request import Status

    finished = _finished(outcome)
    if outcome.status is Status.FINISHED or finished >= request.trials:
        return
    if outcome.url is None:
        way = "they were kept in memory only; --storage and --study keep them"
    else:
        way = f"to go on: {_resume_command(outcome, words)}"
    remark(f"{outcome.status.value} after {finished} of {request.trials} trials; {way}")


def _exit_code(outcome: Outcome) -> int:
    from nas_plugins.runner.request import Status

    if outcome.error is not None:
        return show(outcome.error)
    if outcome.status is Status.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if outcome.status is Status.TERMINATED:
        return ExitCode.TERMINATED
    if not outcome.result.history.complete:
        reason = next(iter(outcome.result.failures()), "none was begun")
        remark(
            f"error: no trial has a value ({_finished(outcome)} failed); "
            f"the first reason: {reason}"
        )
        return ExitCode.ALL_FAILED
    return ExitCode.OK


def _resume_command(outcome: Outcome, words: list[str]) -> str:
    """The same command line with what makes it go on."""
    from nas_plugins.runner.storage import without_password

    line = [without_password(word) for word in words]
    if "--storage" not in " ".join(line):
        line += ["--storage", str(outcome.url), "--study", str(outcome.study)]
    if "--resume" not in line:
        line.append("--resume")
    return shlex.join(["nas-plugins", *line])


__all__ = ["search"]
