"""One search in an NNI experiment: where it lives, who watches it, and what ends it."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import operator
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from nas_plugins._doing import heard_by
from nas_plugins._files import write_text
from nas_plugins._frozen import FrozenDict
from nas_plugins._reading import json_value, refusing, text
from nas_plugins.errors import DataError, EngineError, UsageError, unknown_name
from nas_plugins.history import REASON_NOTE, Trial, TrialState
from nas_plugins.nni.callbacks import StrategyWithCallbacks
from nas_plugins.nni.experiment import experiment, logs_in_files, published_or_own
from nas_plugins.nni.folder import SEQUENTIAL, SERVICE, engine_of, experiments_in, is_identity
from nas_plugins.nni.secret_options import variables_removed
from nas_plugins.results import SearchResult
from nas_plugins.runner.nni_evaluator import RequestEvaluator
from nas_plugins.runner.options import as_usage
from nas_plugins.runner.problem import Problem
from nas_plugins.runner.request import SearchRequest
from nas_plugins.runner.search import BROKEN, FINISHED, INTERRUPTED, TERMINATED, TIMEOUT, Ended
from nas_plugins.runner.search_display import Finished, SearchDisplay
from nas_plugins.runner.session import Callbacks
from nas_plugins.runner.signals import Interruptible, Stop
from nas_plugins.runner.storage import StorageURL

_UNNAMED = "search"
_RECORD, _LOCK = "nas-plugins.json", "nas-plugins.lock"
_LARGEST_RECORD = 1 << 24
_ENGINES = {SEQUENTIAL: "`workers=1`", SERVICE: "`workers=2` or more"}


@dataclass(frozen=True)
class Place:
    """Where an experiment lives.

    Attributes:
        folder: Of experiments.
        identity: Of this one; the name of its own folder in there.
        kept: Whether it outlasts this process.
    """

    folder: Path
    identity: str
    kept: bool

    @property
    def record(self) -> Path:
        """What was asked for when it was begun."""
        return self.folder / self.identity / _RECORD

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs away from the experiment.

        Raises:
            EngineError: The folder cannot be made, or another run works there.
        """
        import filelock

        try:
            (self.folder / self.identity).mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / self.identity / _LOCK)
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise EngineError(
                f"another process works on experiment {self.identity!r} in {self.folder}"
            ) from None
        except OSError as error:
            raise EngineError(f"{self.folder} cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()


def run(
    request: SearchRequest,
    problem: Problem,
    shown: SearchDisplay,
    callbacks: Callbacks,
    *,
    stack: contextlib.ExitStack,
) -> Ended:
    """Runs a search in an experiment to its end, whatever ends it.

    Raises:
        NasPluginsError: It could not begin.
    """
    if callbacks:
        raise UsageError("`callbacks` go with `engine=optuna`: they take a study of Optuna's")
    if request.workers > 1 and request.objects:
        raise UsageError(
            f"`{'` and `'.join(request.objects)}` must be names with `engine=nni` and several "
            "`workers`: its trial processes build them anew"
        )
    request, place = _placed(request, stack)
    stack.enter_context(place.locked())
    stack.enter_context(variables_removed())
    watch = _Watch(request, problem, place, shown)
    status, error = watch.run()
    found = watch.result()
    result = replace(found, versions=FrozenDict({**found.versions, "nni": version("nni")}))
    if not place.kept:
        request = replace(request, storage=None, study=None)
    return Ended(request, result, watch.seed, status, error)


def _placed(request: SearchRequest, stack: contextlib.ExitStack) -> tuple[SearchRequest, Place]:
    """Finds the folder: the storage, that of the results for several workers, or a temporary one.

    As with the other engine, what one worker does is not kept unless that is asked for.

    Raises:
        UsageError: The name of the study is none for an experiment.
        EngineError: There is no experiment of this name to resume, or one to begin.
    """
    if request.storage is not None:
        folder, kept = request.storage.folder, True
    elif request.workers > 1 and request.out is not None:
        folder, kept = request.out, True
    else:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="nas-plugins-"))
        folder, kept = Path(name), False
    request = replace(
        request, storage=StorageURL.of_folder(folder), study=request.study or _UNNAMED
    )
    identity = request.study or _UNNAMED
    if not is_identity(identity):
        raise UsageError(
            "`study` must be at most 32 letters, digits, `-` and `_`, as it is the identity of "
            f"an NNI experiment, got {identity!r}"
        )
    known = experiments_in(folder)
    if request.resume and identity not in known:
        raise unknown_name(f"study of {request.storage}", identity, known)
    if not request.resume and identity in known:
        raise request.exists_already()
    return request, Place(folder, identity, kept)


class _Watch:
    """An experiment and who watches it.

    Args:
        request: What was asked.
        problem: What is searched.
        place: Where the experiment lives.
        shown: Shows the state.
    """

    def __init__(
        self, request: SearchRequest, problem: Problem, place: Place, shown: SearchDisplay
    ) -> None:
        self._request, self._problem, self._place, self._shown = request, problem, place, shown
        self._deadline = math.inf
        self._left = request.trials
        self._stop = Stop()
        self._timed_out = self._started = False
        self._strategy = StrategyWithCallbacks(
            problem.strategy,
            self,
            seed=self._agreed(),
            objectives=problem.objectives,
            constraints=problem.constraints,
        )

    @property
    def seed(self) -> int:
        """Given, recorded or drawn; known once the experiment has begun."""
        return self._strategy.seed

    def _agreed(self) -> int | None:
        """Records what is asked for, or checks that it is what was recorded.

        Returns:
            The seed; ``None`` where the checkpoint alone has it.
        """
        request, place = self._request, self._place
        if not request.resume:
            seed = secrets.randbits(32) if request.seed is None else request.seed
            record = {"settings": request.lasting(self._problem), "seed": seed}
            write_text(place.record, json.dumps(record, indent=1))
            return seed
        engine = SEQUENTIAL if request.workers == 1 else SERVICE
        before = engine_of(place.folder, place.identity)
        if before != engine:
            raise EngineError(
                f"study {request.study!r} was begun with {_ENGINES.get(before, before)}, and NNI "
                f"cannot go on with `workers={request.workers}`"
            )
        if not place.record.exists():  # a script has begun it; its checkpoint has the seed
            return request.seed
        try:
            with refusing(place.record, "the record of a search"):
                record = json_value(text(place.record, most=_LARGEST_RECORD))
                seed = operator.index(record["seed"])
                if seed < 0 or not isinstance(record["settings"], dict):
                    raise ValueError("`seed` must be >= 0 and `settings` an object")
        except DataError as error:
            raise EngineError(str(error)) from error.__cause__
        request.check_resumed(self._problem, record)
        return seed

    # -- running ---------------------------------------------------------------------------

    def run(self) -> tuple[str, EngineError | None]:
        """Runs the experiment to its end, whatever ends it.

        Returns:
            How it ended, and what broke it if something did.

        Raises:
            EngineError: It could not begin.
        """
        request, problem = self._request, self._problem
        evaluator = RequestEvaluator(request)
        if request.workers == 1:
            here = Interruptible(problem.evaluator, self._stop)
            with as_usage("`engine=nni`"):
                evaluator = RequestEvaluator.here(request, problem, here)
        kept = experiment(
            published_or_own(problem.space),
            evaluator,
            self._strategy,
            folder=self._place.folder,
            identity=self._place.identity,
            workers=request.workers,
        )
        error: EngineError | None = None
        with (
            logs_in_files(),
            _without_failures(),
            self._stop.listening(signal.SIGINT, signal.SIGTERM),
        ):
            try:
                kept.search(resume=request.resume)
            except KeyboardInterrupt:
                pass
            except (EngineError, OSError, RuntimeError) as raised:
                error = self._broken(raised)
            finally:
                self._shown.close()
        if error is not None:
            return BROKEN, error
        if self._stop:
            stopped = self._stop.signal == signal.SIGINT
            return (INTERRUPTED if stopped else TERMINATED), None
        return (TIMEOUT if self._timed_out else FINISHED), None

    def _broken(self, raised: Exception) -> EngineError:
        error = raised
        if not isinstance(error, EngineError):
            log = self._place.folder / self._place.identity / "log"
            where = f"; see {log}" if self._place.kept else ""
            gone = type(raised).__module__.startswith("requests")
            what = "its training service is gone" if gone else f"{type(raised).__name__}: {raised}"
            error = EngineError(f"NNI: {what}{where}")
            error.__cause__ = raised
        if not self._started:
            raise error
        return error

    def result(self) -> SearchResult:
        """The trials so far.

        Raises:
            KeyboardInterrupt: The experiment was interrupted before it knew any.
        """
        if not self._started:
            raise KeyboardInterrupt
        return SearchResult(history=self._strategy.history)

    # -- watching --------------------------------------------------------------------------

    def start(self, trials: Sequence[Trial]) -> None:
        """Shows what earlier runs have done."""
        ended = [_finished(t) for t in trials if t.state is not TrialState.RUNNING]
        self._left = self._request.trials - len(ended)
        self._started = True
        if self._request.timeout is not None:
            # From here on, as NNI and its service have taken some seconds to start.
            self._deadline = time.monotonic() + self._request.timeout
        self._shown.start(ended, self._request.trials)

    def may_begin(self) -> bool:
        """Whether there is budget, time, and nobody has stopped the search."""
        if self._stop or self._left <= 0:
            return False
        if time.monotonic() >= self._deadline:
            self._timed_out = True
            return False
        return True

    def begins(self) -> None:
        """Counts a trial."""
        self._left -= 1

    def ended(self, trial: Trial) -> None:
        """Shows a trial."""
        self._shown.add(_finished(trial))

    @contextlib.contextmanager
    def searching(self) -> Iterator[None]:
        """Lets the display hear what is done, on whatever thread the strategy runs.

        A second Ctrl-C does not wait for trial processes; in this one it ends evaluations.
        """
        here = self._request.workers == 1
        end = contextlib.nullcontext() if here else self._stop.interruptible()
        with heard_by(self._shown.activity), end:
            yield


def _finished(trial: Trial) -> Finished:
    reason = "" if trial.state is TrialState.COMPLETE else trial.notes.get(REASON_NOTE, "")
    return Finished(trial.number, trial.values, trial.violation, reason)


@contextlib.contextmanager
def _without_failures() -> Iterator[None]:
    """Leaves failed trials to the display, which counts them, and to the result."""
    logger = logging.getLogger("nas_plugins.nni._state")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
