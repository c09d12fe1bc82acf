"""One search from a request to a result: study, trials, and what came of it."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_plugins import registry
from nas_plugins._checks import as_path
from nas_plugins._frozen import FrozenDict
from nas_plugins.constraints import Constraint
from nas_plugins.errors import EngineError, NasPluginsError, UsageError, unknown_name
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark, Strategy
from nas_plugins.results import OWN_FILES, SearchResult
from nas_plugins.runner.language_model import kind_of, ledger, with_language_model
from nas_plugins.runner.options import as_usage, words_of
from nas_plugins.runner.outputs import alone_in, prepare_results, writing
from nas_plugins.runner.problem import Problem, prepare
from nas_plugins.runner.progress import WaitingDisplay
from nas_plugins.runner.request import Measures, SearchRequest, named, with_stand_in
from nas_plugins.runner.search_display import Finished, Score, SearchDisplay, logging_to
from nas_plugins.runner.signals import Stop
from nas_plugins.runner.storage import NNI, StorageURL, open_storage, storage_errors
from nas_plugins.spaces.base import Choice, SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategy_report import with_summary

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from nas_plugins.runner.session import Callbacks, Session

FINISHED, TIMEOUT, STOPPED = "finished", "timeout", "stopped"
INTERRUPTED, TERMINATED, BROKEN = "interrupted", "terminated", "broken"

_SHARED_FILE = "trials.journal"
_SHARED_STUDY = "search"


class SearchBrokenError(EngineError):
    """A search that had begun could not go on.

    Its cause is the error of the engine, or that of a plug-in.

    Attributes:
        result: What was found until then.
        lost: Whether the storage has lost it, so that nobody can go on there.
    """

    def __init__(
        self, error: NasPluginsError, result: SearchResult, *, lost: bool = False
    ) -> None:
        super().__init__(str(error))
        self.result, self.lost = result, lost


def search(
    over: str | Benchmark | SearchSpace | Mapping[str, Sequence[Choice]],
    evaluators: Measures = None,
    *,
    objectives: str | Objective | Sequence[str | Objective] = (),
    constraints: str | Constraint | Sequence[str | Constraint] = (),
    strategy: str | Strategy = "archive-evolution",
    trials: int = 100,
    seed: int | None = None,
    workers: int = 1,
    timeout: float | None = None,
    pruner: str = "none",
    engine: str = "optuna",
    strategy_options: Mapping[str, Any] | None = None,
    benchmark_options: Mapping[str, Any] | None = None,
    evaluator_options: Mapping[str, Any] | None = None,
    space_options: Mapping[str, Any] | None = None,
    warm_start: str | None = None,
    warm_start_trials: int | None = None,
    warm_start_options: Mapping[str, Any] | None = None,
    llm: str | Mapping[str, Any] | None = None,
    storage: str | None = None,
    study: str | None = None,
    resume: bool = False,
    take_over: bool = False,
    out: str | Path | None = None,
    callbacks: Callbacks = (),
    progress: bool | None = None,
) -> SearchResult:
    """Searches for the best architectures.

    >>> import nas_plugins as nap
    >>> found = nap.search("nasbench201/cifar10", objectives="val_accuracy:max", trials=20, seed=0)
    >>> found.counts()["complete"]
    20
    >>> def loss(architecture):
    ...     return abs(architecture.choices["lr"] - 0.01)
    >>> tuned = nap.search({"lr": [0.001, 0.01, 0.1]}, loss, objectives="loss:min", trials=3)
    >>> tuned.best.architecture.choices
    {'lr': 0.01}

    Ctrl-C ends a search after the running trial, and what was found is returned; a second one
    ends it at once. The result's ``settings["status"]`` tells how a search ended.

    With several `workers`, the objects among the arguments are pickled and sent to processes that
    start afresh: define functions and classes in a module or at the top of the script, and call
    this below ``if __name__ == "__main__":``.

    Args:
        over: A benchmark, e.g. ``"nasbench201/cifar10"``, or a space, by name or as an object;
            or the choices of a space of one's own by the names of its decisions. A name without
            a ``/`` that both have means the space if there are `evaluators`.
        evaluators: What measures, instead of the benchmark or beside it: names, evaluators, or a
            function that takes an architecture and returns a dictionary of metrics, or the
            number of the only objective. A mapping gives them names for objectives such as
            ``"small.params_m:min"``.
        objectives: Metrics such as ``"val_accuracy:max"``; without the direction, the better one.
        constraints: Limits such as ``"latency_ms<=5"``.
        strategy: Name of a strategy or an object with `propose`.
        trials: Trials in all, those of earlier runs included.
        seed: Seed of the strategy; drawn, and kept by a resumed study, if ``None``.
        workers: Processes.
        timeout: Seconds after which no further trial begins.
        pruner: ``"median"``, ``"hyperband"`` or ``"none"``: ends trials that fall behind while
            they are evaluated; for one objective.
        engine: ``"optuna"``, or ``"nni"`` for an NNI experiment.
        strategy_options: Options of a strategy given by name; likewise for the next three.
        benchmark_options: Of the benchmark.
        evaluator_options: Of the evaluators; of one of several, ``"name.key"``.
        space_options: Of the space.
        warm_start: Evaluator or benchmark, by name, whose scores choose the first trials.
        warm_start_trials: How many it chooses.
        warm_start_options: ``pool``, ``metrics``, and options of it as ``"name.key"``.
        llm: Chat model of a strategy that asks one: its name, or a mapping of ``name``,
            ``options``, the budgets ``calls``, ``tokens``, ``usd`` and ``seconds``, and the files
            ``prices``, ``ledger``, ``record`` and ``cache``.
        storage: ``sqlite:///FILE``, ``journal:///FILE`` or a database URL; with NNI a folder.
            Trials are kept in memory only if ``None``.
        study: Name of the study in the storage.
        resume: Whether to go on with the study.
        take_over: Whether to mark trials failed that another machine left running.
        out: Folder that gets ``result.json``, ``trials.csv`` and ``report.html``.
        callbacks: Called with study and trial after each trial, in this process, as those of
            ``Study.optimize``; ``Study.stop`` ends the search. With Optuna only.
        progress: ``True`` shows progress on the standard error stream, ``False`` nothing;
            ``None`` shows a bar on a terminal and in a notebook.

    Returns:
        Everything that was found, with failed trials and their reasons. A search in which each
        trial failed has no `best`.

    Raises:
        UsageError: Arguments do not go together, or one is out of range.
        TypeError: An argument is of the wrong type.
        UnknownNameError: A name is not known; suggests the nearest.
        DataError: A table is absent or not intact.
        MissingDependencyError: Something named needs a package that is not installed.
        PluginError: A plug-in cannot be imported or built, or does not keep to its role; named.
        SearchBrokenError: The storage, all workers or, once trials had ended, a plug-in failed;
            what was found is in its `result`.
        EngineError: The storage cannot be opened, or its study does not fit.
        OutputError: `out` cannot be written.

    Long because its parameters are listed twice, with types and in words.
    """
    _check_types(
        {"pruner": pruner, "engine": engine, "warm_start": warm_start, "storage": storage,
         "study": study},
        {"strategy_options": strategy_options, "benchmark_options": benchmark_options,
         "evaluator_options": evaluator_options, "space_options": space_options,
         "warm_start_options": warm_start_options},
    )  # fmt: skip
    if callbacks is not None and not (
        isinstance(callbacks, Iterable) and all(map(callable, callbacks := tuple(callbacks)))
    ):
        raise TypeError(
            f"`callbacks` must be a list of functions of a study and a trial, got {callbacks!r}"
        )
    given = _over(over, named(evaluators))
    request = SearchRequest(
        **given,
        strategy=strategy,
        objectives=words_of("objectives", objectives, Objective, "val_accuracy:max"),
        constraints=words_of("constraints", constraints, Constraint, "latency_ms<=5"),
        strategy_options=with_language_model(strategy, strategy_options or {}, llm),
        benchmark_options=benchmark_options or {},
        evaluator_options=evaluator_options or {},
        space_options=space_options or {},
        warm_start=warm_start,
        warm_start_trials=warm_start_trials,
        warm_start_options=warm_start_options or {},
        trials=trials,
        engine=engine,
        seed=seed,
        storage=None if storage is None else StorageURL.parse(storage, engine=engine),
        study=study,
        resume=resume,
        take_over=take_over,
        workers=workers,
        timeout=timeout,
        pruner=pruner,
        out=None if out is None else as_path("out", out),
    )
    try:
        result = run(request, callbacks, shown=progress)
    except SearchBrokenError as broken:
        write(broken.result, request.out, shown=progress)
        raise
    write(result, request.out, shown=progress)
    return result


def _over(over: Any, evaluators: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments `benchmark`, `space` and `evaluators` of a request."""
    if isinstance(over, SearchSpace):
        given: dict[str, Any] = {"space": over}
    elif isinstance(over, Mapping):
        with as_usage("`over`", (TypeError, ValueError)):
            given = {"space": CategoricalSpace(over)}
    elif isinstance(over, Benchmark):
        given = {"benchmark": over}
    elif not isinstance(over, str):
        raise TypeError(
            "`over` must be the name of a benchmark or a space, one of them, or a dictionary of "
            f"choices, got {over!r}"
        )
    else:
        benchmarks, spaces = registry.names("benchmark"), registry.names("space")
        family = over.partition("/")[0]
        if "/" not in over and family not in {*benchmarks, *spaces}:
            raise unknown_name("benchmark or space", over, {*benchmarks, *spaces})
        space = family == over and over in spaces and (evaluators or family not in benchmarks)
        given = {"space" if space else "benchmark": over}
    if "space" in given and not evaluators:
        what = f"{over!r} is a space; " if isinstance(over, str) else ""
        raise UsageError(f"{what}say what to measure: give `evaluators`, or a benchmark as `over`")
    return {**given, "evaluators": evaluators}


def _check_types(texts: Mapping[str, object], options: Mapping[str, object]) -> None:
    """Refuses what is no text, or no options by name, by the name of the argument."""
    for name, value in texts.items():
        if not isinstance(value, str | None):
            raise TypeError(f"`{name}` must be a str, got {value!r}")
    for name, value in options.items():
        if not isinstance(value, Mapping | None):
            raise TypeError(f"`{name}` must be a dictionary, got {value!r}")


def write(result: SearchResult, out: Path | None, *, shown: bool | None) -> None:
    """Writes the files of a result into a folder, if there is one.

    Raises:
        OutputError: They cannot be written.
    """
    if out is not None:
        with writing(out), WaitingDisplay(f"writing {out}", shown=shown):
            result.save(out)


@dataclass(frozen=True)
class Ended:
    """What an engine leaves.

    Attributes:
        request: With the storage that was used; ``None`` where that is gone with the process.
        result: The trials.
        seed: Given, recorded or drawn.
        status: How it ended.
        error: What broke it.
        lost: Whether the storage does not hold the trials any more.
    """

    request: SearchRequest
    result: SearchResult
    seed: int | None
    status: str
    error: NasPluginsError | None = None
    lost: bool = False


def run(
    request: SearchRequest,
    callbacks: Callbacks = (),
    *,
    shown: bool | None = None,
    words: Callable[[str], str] = str,
) -> SearchResult:
    """Runs a search to its end, whatever ends it.

    Args:
        request: What to search.
        callbacks: As those of `search`.
        shown: As `progress` of `search`.
        words: Puts what is said into the words of whoever asked for the search.

    Raises:
        NasPluginsError: It could not begin.
        SearchBrokenError: It broke once trials ran.
    """
    if request.workers > 1:
        from nas_plugins.runner.workers import check_not_in_worker

        check_not_in_worker()
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        if request.out is not None:
            prepare_results(request.out, OWN_FILES)
            stack.enter_context(alone_in(request.out))
        request, absent = with_stand_in(request)
        request = stack.enter_context(ledger(request))
        with WaitingDisplay("preparing", shown=shown, words=words):
            problem = prepare(request)
            front = problem.true_front()
        display = SearchDisplay(Score(problem.objectives, front), shown=shown, words=words)
        stack.enter_context(display)
        stack.enter_context(logging_to(display))
        for remark in [*filter(None, [absent]), *problem.remarks()]:
            display.say(remark)
        if request.engine == NNI:
            from nas_plugins.runner import nni

            ended = nni.run(request, problem, display, callbacks, stack=stack)
        else:
            ended = _run(request, problem, display, callbacks, stack=stack, begun=begun)
    from nas_plugins.runner.results import with_problem

    settings = ended.request.settings(problem, seed=ended.seed, status=ended.status)
    result = replace(
        with_problem(ended.result, problem, front),
        settings=FrozenDict(settings),
        seconds=time.monotonic() - begun,
    )
    result = with_summary(result, only=kind_of(request.strategy))
    if ended.error is not None:
        raise SearchBrokenError(ended.error, result, lost=ended.lost) from ended.error
    return result


# -- with Optuna ------------------------------------------------------------------------------


def _run(
    request: SearchRequest,
    problem: Problem,
    shown: SearchDisplay,
    callbacks: Callbacks,
    *,
    stack: contextlib.ExitStack,
    begun: float,
) -> Ended:
    from nas_plugins.optuna import study_settings
    from nas_plugins.optuna.dimensions import check
    from nas_plugins.runner.session import check_pruner, settle

    with as_usage("`space`"):
        check(problem.space)
    for remark in check_pruner(request.pruner, problem):
        shown.say(remark)
    if request.workers > 1:
        request = _shared(request, stack)
    storage = open_storage(
        request.storage,
        create=not request.resume,
        mended=lambda n: shown.say(f"{request.storage}: cut an unfinished record of {n} bytes"),
    )
    with storage_errors(request.storage):
        session = _session(request, problem, storage)
        for remark in settle(session, take_over=request.take_over):
            shown.say(remark)
        seed = study_settings(session.study).get("seed")
    status, error = _Run(request, session, shown, callbacks, begun).work()
    result, lost = _found(request, session)
    if lost is not None and error is None:
        status, error = BROKEN, lost
    gone = lost is not None or (request.storage is not None and request.storage.is_gone)
    return Ended(request, result, seed, status, error, gone)


def _found(request: SearchRequest, session: Session) -> tuple[SearchResult, EngineError | None]:
    """The trials in the storage; those that were last seen, and why, where it is lost."""
    from nas_plugins.runner.results import assemble

    try:
        with storage_errors(request.storage):
            session.trials()
            return assemble(session.study), None
    except EngineError as error:
        return assemble(session.seen.study()), error


def _shared(request: SearchRequest, stack: contextlib.ExitStack) -> SearchRequest:
    """Adds the journal that workers share where no storage is given."""
    from nas_plugins.runner.workers import check_pickles

    check_pickles(request)
    if request.storage is not None:
        if request.storage.in_memory:
            raise UsageError(f"`workers` cannot share {request.storage}; leave `storage` out")
        return request
    folder = request.out
    if folder is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nas-plugins-")))
    url = StorageURL(f"journal:///{folder / _SHARED_FILE}")
    return replace(request, storage=url, study=_SHARED_STUDY)


def _session(request: SearchRequest, problem: Problem, storage: BaseStorage) -> Session:
    """Opens the study; says what is wrong with it before Optuna does."""
    import optuna

    from nas_plugins.optuna import study_settings
    from nas_plugins.runner.session import Session

    names = optuna.get_all_study_names(storage)
    if request.resume and request.study not in names:
        raise unknown_name(f"study of {request.storage}", request.study or "", names)
    if not request.resume and request.study in names:
        raise request.exists_already()
    if request.resume:
        study = optuna.load_study(study_name=request.study, storage=storage)
        request.check_resumed(problem, study_settings(study))
    return Session.open(
        problem,
        storage,
        name=request.study,
        seed=request.seed,
        resume=request.resume,
        settings=request.lasting(problem),
        pruner=request.pruner,
    )


class _CallbackError(Exception):
    """A callback has raised; carries that past what guards the storage."""


class _Run:
    """The trials of one run: how many may still begin, and who is told of those that ended.

    Args:
        request: Total and deadline.
        session: The study; other processes may work on it too.
        shown: Is told of every trial.
        callbacks: Likewise.
        begun: When, on the monotonic clock.
    """

    def __init__(
        self,
        request: SearchRequest,
        session: Session,
        shown: SearchDisplay,
        callbacks: Callbacks,
        begun: float,
    ) -> None:
        self._request, self._session = request, session
        self._shown, self._callbacks = shown, callbacks
        self._deadline = None if request.timeout is None else begun + request.timeout
        self._stop = Stop()
        self._left = 0
        self._timed_out = self._stopped = self._found = False

    def work(self) -> tuple[str, NasPluginsError | None]:
        """Runs trials to the end, whatever ends them.

        Returns:
            How it ended, and what broke it if something did.
        """
        try:
            with (
                self._stop.listening(signal.SIGINT, signal.SIGTERM),
                storage_errors(self._request.storage),
            ):
                self._trials()
        except KeyboardInterrupt:
            return INTERRUPTED, None
        except EngineError as error:
            return BROKEN, error
        except NasPluginsError as error:
            if not self._found:
                raise  # nothing is lost with it
            return BROKEN, error
        except _CallbackError as error:
            raise (error.__cause__ or error) from None
        finally:
            self._shown.close()
        if self._stop:
            return INTERRUPTED if self._stop.signal == signal.SIGINT else TERMINATED, None
        return (TIMEOUT if self._timed_out else STOPPED if self._stopped else FINISHED), None

    def _trials(self) -> None:
        session, trials = self._session, self._session.trials()
        self._left = self._request.trials - len(trials)
        ended = [session.describe(trial) for trial in trials if trial.state.is_finished()]
        self._found = any(finished.values for finished in ended)
        self._shown.start(ended, self._request.trials)
        if self._request.workers == 1:
            session.work(self._take, self._ended, self._stop)
            return
        from nas_plugins.runner.workers import Pool

        pool = Pool(session, self._request, stop=self._stop)
        pool.run(self._take, self._ended, self._shown.say, self._shown.activity)

    def _take(self) -> bool:
        """Whether one more trial may begin; counts it if so."""
        if self._stop or self._stopped or self._left <= 0:
            return False
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._timed_out = True
            return False
        if len(self._session.trials()) >= self._request.trials:
            return False
        self._left -= 1
        return True

    def _ended(self, finished: Finished) -> None:
        self._found = self._found or bool(finished.values)
        self._shown.add(finished)
        if not self._callbacks:
            return
        try:
            stopped = self._session.call_back(self._callbacks, finished.number)
        except Exception as error:
            raise _CallbackError from error
        self._stopped = self._stopped or stopped
