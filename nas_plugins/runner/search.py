"""One search from a request to a result: storage, study, trials, and what came of it."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import optuna

from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import EngineError, UsageError, unknown_name
from nas_plugins.optuna import study_settings
from nas_plugins.optuna._dimensions import check
from nas_plugins.pareto import Floats
from nas_plugins.results import SearchResult
from nas_plugins.runner.display import Display, Score, display
from nas_plugins.runner.engines import NNI
from nas_plugins.runner.logs import logging_to
from nas_plugins.runner.options import as_usage
from nas_plugins.runner.problem import Problem, prepare
from nas_plugins.runner.pruning import check_pruner, make_pruner
from nas_plugins.runner.request import Outcome, Request, Status
from nas_plugins.runner.results import assemble, with_problem
from nas_plugins.runner.session import Leftovers, Session, settle
from nas_plugins.runner.signals import Stop
from nas_plugins.runner.storage import Opened, StorageURL, open_storage, storage_errors
from nas_plugins.runner.workers import Job, Pool

_SHARED_FILE = "trials.journal"
_SHARED_STUDY = "search"


def run(request: Request) -> Outcome:
    """Runs a search to its end, whatever ends it.

    Raises:
        NasPluginsError: It could not begin. Once trials run, an error is part of the outcome.
    """
    if request.engine == NNI:
        from nas_plugins.runner import nni

        return nni.run(request)
    begun = time.monotonic()
    problem = prepare(request.plan)
    with as_usage("--space"):
        check(problem.space)
    front = problem.true_front()
    shown = display(Score(problem.objectives, front), quiet=request.quiet)
    with contextlib.ExitStack() as stack:
        stack.enter_context(logging_to(shown))
        for remark in [*problem.remarks(), *check_pruner(request.pruner, problem)]:
            shown.say(remark)
        request, kept = _with_storage(request, stack)
        opened = open_storage(request.url, create=not request.resume)
        if opened.mended:
            shown.say(f"{opened.url}: cut an unfinished record of {opened.mended} bytes")
        with storage_errors(request.url):
            session = _session(request, problem, opened)
            leftovers = settle(session, take_over=request.take_over)
        _tell(leftovers, shown)
        status, error = _work(request, session, shown, begun)
        with storage_errors(request.url):
            result = _result(request, session, front, status, time.monotonic() - begun)
    url, study = (request.url, request.study) if kept else (None, None)
    return Outcome(result, status, url, study, error)


def _with_storage(request: Request, stack: contextlib.ExitStack) -> tuple[Request, bool]:
    """Adds the journal that workers share where no storage is given.

    Returns:
        The request, and whether its trials outlast this process.
    """
    if request.url is not None:
        if request.url.in_memory and request.workers > 1:
            raise UsageError(f"--workers cannot share {request.url}; leave --storage out")
        return request, not request.url.in_memory
    if request.workers == 1:
        return request, False
    folder = request.out
    if folder is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nas-plugins-")))
    url = StorageURL(f"journal:///{folder / _SHARED_FILE}")
    return replace(request, url=url, study=_SHARED_STUDY), request.out is not None


def _session(request: Request, problem: Problem, opened: Opened) -> Session:
    """Opens the study; says what is wrong in the words of the command line."""
    names = optuna.get_all_study_names(opened.storage)
    if request.resume and request.study not in names:
        raise unknown_name(f"study of {request.url}", request.study or "", names)
    if not request.resume and request.study in names:
        raise request.exists_already()
    if request.resume:
        study = optuna.load_study(study_name=request.study, storage=opened.storage)
        request.check_resumed(problem, study_settings(study))
    return Session.open(
        problem,
        opened.storage,
        name=request.study,
        seed=request.seed,
        resume=request.resume,
        settings=request.lasting(problem),
        pruner=make_pruner(request.pruner),
    )


def _tell(leftovers: Leftovers, shown: Display) -> None:
    for numbers, text in (
        (leftovers.failed, "marked failed, as its process is gone"),
        (leftovers.live, "left to the live process that works on it"),
        (leftovers.unknown, "left running elsewhere; --take-over marks it failed"),
    ):
        for number in numbers:
            shown.say(f"trial {number}: {text}")


class _Budget:
    """How many trials may still begin.

    Args:
        total: Trials of the study in all.
        session: Other processes may work on its study too.
        stop: No further trial once it is set.
        deadline: No further trial after this moment of the monotonic clock.
    """

    def __init__(self, total: int, session: Session, stop: Stop, deadline: float | None) -> None:
        self._total = total
        self._session = session
        self._stop = stop
        self._deadline = deadline
        self._left = total - len(session.trials())
        self.timed_out = False

    def take(self) -> bool:
        """Whether one more trial may begin; counts it if so."""
        if self._stop or self._left <= 0:
            return False
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.timed_out = True
            return False
        if len(self._session.trials()) >= self._total:
            return False
        self._left -= 1
        return True


def _work(
    request: Request, session: Session, shown: Display, begun: float
) -> tuple[Status, EngineError | None]:
    stop = Stop()
    with stop.listening(signal.SIGINT, signal.SIGTERM):
        try:
            with storage_errors(request.url):
                deadline = None if request.timeout is None else begun + request.timeout
                budget = _Budget(request.trials, session, stop, deadline)
                ended = [t for t in session.trials() if t.state.is_finished()]
                shown.start([session.describe(t) for t in ended], request.trials)
                if request.workers == 1 or request.url is None or request.study is None:
                    session.work(budget.take, shown.add, stop)
                else:
                    url = request.url.absolute()
                    job = Job(request.plan, url, request.study, request.pruner)
                    Pool(session, job, request.workers, stop=stop).run(budget.take, shown)
        except KeyboardInterrupt:
            return Status.INTERRUPTED, None
        except EngineError as error:
            return Status.BROKEN, error
        finally:
            shown.close()
    if stop:
        return (Status.INTERRUPTED if stop.signal == signal.SIGINT else Status.TERMINATED), None
    return (Status.TIMEOUT if budget.timed_out else Status.FINISHED), None


def _result(
    request: Request,
    session: Session,
    front: Floats | None,
    status: Status,
    seconds: float,
) -> SearchResult:
    problem = session.problem
    seed = study_settings(session.study).get("seed")
    settings = request.settings(problem, seed=seed, status=status)
    result = with_problem(assemble(session.study), problem, front)
    return replace(result, settings=FrozenDict(settings), seconds=seconds)


__all__ = ["Outcome", "Request", "Status", "run"]
