"""Several worker processes over one storage, with the trials shared out exactly.

Each worker asks the parent over its own pipe before every trial. A killed worker thus holds
nothing that the others need: its pipe closes, its running trial is marked failed, and a trial
that it was allowed to begin but did not goes to another worker.
"""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import optuna
from optuna.trial import FrozenTrial, TrialState

from nas_plugins._doing import Activity, Deed, heard_by
from nas_plugins._plugin_code import writable
from nas_plugins.errors import (
    EngineError,
    MissingDependencyError,
    NasPluginsError,
    PluginError,
    UsageError,
)
from nas_plugins.optuna.compat import quiet_optuna
from nas_plugins.runner.problem import prepare
from nas_plugins.runner.processes import Owner
from nas_plugins.runner.request import SearchRequest
from nas_plugins.runner.search_display import Finished
from nas_plugins.runner.session import OWNER, Session
from nas_plugins.runner.signals import Stop
from nas_plugins.runner.storage import open_storage, storage_errors

_TICK = 0.2  # seconds after which the parent looks at the clock and at signals again


# A worker sends `None` to ask whether it may begin a trial, what it logs as text, what it does as
# `Doing`, each trial that has ended as `Finished`, and `Broken` as its last word.


@dataclass(frozen=True)
class Doing:
    """What a worker does; the parent's view of `Activity.tell`.

    Attributes:
        key: Of the worker's.
        deed: ``None`` when it is over.
    """

    key: int
    deed: Deed | None


@dataclass(frozen=True)
class Broken:
    """A worker cannot go on.

    Attributes:
        message: Why.
        trace: The traceback.
        kind: What is raised for it.
    """

    message: str
    trace: str
    kind: type[NasPluginsError] = EngineError


@dataclass
class _Worker:
    """The parent's view of a worker.

    Attributes:
        process: The process.
        pipe: The parent's end.
        owner: Mark on its trials.
        granted: Trials that it was allowed to begin.
        reported: Numbers of the trials that it has ended.
        asking: Whether it waits for an answer.
        doing: Keys of what it does.
        open: Whether it has not ended yet.
    """

    process: BaseProcess
    pipe: Connection
    owner: str
    granted: int = 0
    reported: set[int] = field(default_factory=set)
    asking: bool = False
    doing: set[int] = field(default_factory=set)
    open: bool = True

    @property
    def busy(self) -> bool:
        """Whether a trial that was granted to it may still come back."""
        return self.open and self.granted > len(self.reported)


class Pool:
    """Runs a search in worker processes until `take` says no more.

    Args:
        session: The study, opened in this process too.
        request: What is searched, in which storage and by how many.
        stop: May interrupt the wait for workers.
    """

    def __init__(self, session: Session, request: SearchRequest, *, stop: Stop) -> None:
        self._session = session
        url = request.storage and request.storage.absolute()
        self._request = replace(request, storage=url)
        self._stop = stop
        self._workers: list[_Worker] = []
        self._broken: Broken | None = None
        self._returned = 0

    def run(
        self,
        take: Callable[[], bool],
        report: Callable[[Finished], None],
        say: Callable[[str], None],
        activity: Activity,
    ) -> None:
        """Runs the trials.

        Args:
            take: As in `Session.work`; a granted trial of a lost worker is granted again
                without asking it.
            report: Told of each trial that has ended.
            say: Told of lost workers and of what workers log.
            activity: Told of what workers do.

        Raises:
            EngineError: A worker met an error of the storage, or all workers are gone.
            PluginError: A plug-in does not keep to its role; likewise `MissingDependencyError`.
            KeyboardInterrupt: A second Ctrl-C.
        """
        self._report, self._say, self._activity = report, say, activity
        try:
            self._workers += [self._start(i) for i in range(self._request.workers)]
            while any(worker.open for worker in self._workers):
                self._listen()
                self._answer(take)
        except BaseException:
            self._kill()
            raise
        if self._broken is not None:
            prefix = "a worker cannot go on: " if self._broken.kind is EngineError else ""
            error = self._broken.kind(f"{prefix}{self._broken.message}")
            raise error from RuntimeError(self._broken.trace)
        lost = [worker for worker in self._workers if worker.process.exitcode]
        if len(lost) == len(self._workers):
            raise EngineError(f"all {len(lost)} workers were lost ({_ending(lost[-1])})")

    def _start(self, i: int) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(self._request, theirs), name=f"worker {i}", daemon=True
        )
        with _interrupts_blocked():
            process.start()
        theirs.close()
        return _Worker(process, ours, str(Owner.of(process.pid or 0)))

    def _listen(self) -> None:
        """Takes in what workers have sent, waiting a moment for it."""
        pipes = [worker.pipe for worker in self._workers if worker.open]
        with self._stop.interruptible():
            ready = wait(pipes, timeout=_TICK)
        for worker in self._workers:
            if worker.pipe in ready:
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    self._ended(worker)
                else:
                    self._take_in(worker, message)

    def _take_in(self, worker: _Worker, message: object) -> None:
        if message is None:
            worker.asking = True
        elif isinstance(message, Finished):
            worker.reported.add(message.number)
            self._report(message)
        elif isinstance(message, str):
            self._say(message)
        elif isinstance(message, Doing):
            self._does(worker, message.key, message.deed)
        elif isinstance(message, Broken):
            self._broken = self._broken or message

    def _answer(self, take: Callable[[], bool]) -> None:
        """Answers those who ask. A no waits until no trial can come back from a lost worker."""
        for worker in self._workers:
            if worker.asking and self._broken is None and self._grant(take):
                worker.granted += 1
                self._send(worker, True)
        if not any(worker.busy for worker in self._workers):
            for worker in self._workers:
                if worker.asking:
                    self._send(worker, False)

    def _grant(self, take: Callable[[], bool]) -> bool:
        if self._returned:
            self._returned -= 1
            return True
        return take()

    @staticmethod
    def _send(worker: _Worker, answer: bool) -> None:
        worker.asking = False
        with suppress(OSError):  # a worker that has just died is met again as an ended one
            worker.pipe.send(answer)

    def _ended(self, worker: _Worker) -> None:
        worker.open = worker.asking = False
        for key in tuple(worker.doing):
            self._does(worker, key, None)
        worker.pipe.close()
        worker.process.join()
        reason = f"its worker was lost ({_ending(worker)})"
        if worker.process.exitcode:
            self._say(f"{worker.process.name} was lost ({_ending(worker)})")
        begun = self._begun(worker)
        for trial in begun:
            if trial.state == TrialState.RUNNING:
                self._session.fail(trial, reason)
                self._report(Finished(trial.number, reason=reason))
            elif trial.number not in worker.reported:
                self._report(self._session.describe(trial))
        self._returned += max(worker.granted - len(begun), 0)

    def _does(self, worker: _Worker, key: int, deed: Deed | None) -> None:
        (worker.doing.discard if deed is None else worker.doing.add)(key)
        self._activity.tell((worker.owner, key), deed)

    def _begun(self, worker: _Worker) -> list[FrozenTrial]:
        return [t for t in self._session.trials() if t.user_attrs.get(OWNER) == worker.owner]

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            for trial in self._begun(worker):
                if trial.state == TrialState.RUNNING:
                    self._session.fail(trial, "interrupted by the user")


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C waits, and a process started meanwhile never sees it: its parent decides."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending(worker: _Worker) -> str:
    code = worker.process.exitcode or 0
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def check_pickles(request: SearchRequest) -> None:
    """Tells before a search begins that workers, which start afresh, would not get it.

    Raises:
        UsageError: An object in the request does not pickle, or is defined where no other process
            can import it.
    """
    objects = request.objects
    if not objects:
        return
    here = f"`workers={request.workers}` sends `{'` and `'.join(objects)}` to other processes"
    try:
        written = pickle.dumps(request)
    except Exception as error:  # whatever a user's object raises
        raise UsageError(
            f"{here}, which needs that they pickle: {error}; define classes and functions at the "
            "top of a module, or use `workers=1`"
        ) from error
    if b"__main__" in written and not hasattr(sys.modules["__main__"], "__file__"):
        raise UsageError(
            f"{here}, and these cannot import what a notebook or prompt defines; put it into a "
            "module, or use `workers=1`"
        )


def check_not_in_worker() -> None:
    """Ends a worker that runs the user's script from the top rather than imports it.

    Raises:
        UsageError: This process is about to become a worker.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(
            "a worker has imported this script and begun the search again: call it below "
            "if __name__ == '__main__':"
        )


def work(request: SearchRequest, pipe: Connection) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = Stop()
    try:
        with stop.listening(signal.SIGTERM), quiet_optuna(), ExitStack() as stack:
            _log_to(pipe)
            stack.enter_context(heard_by(_PipeActivity(pipe)))
            session = _session(request)

            def take() -> bool:
                if stop:
                    return False
                pipe.send(None)
                return bool(pipe.recv())

            session.work(take, pipe.send, stop)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone; what was running is finished
    except Exception as error:
        with suppress(OSError):
            message, trace = " ".join(str(error).split()), writable(traceback.format_exc())
            pipe.send(Broken(writable(message), trace, _kind(error)))
    finally:
        pipe.close()


def _kind(error: Exception) -> type[NasPluginsError]:
    """What the parent raises: those of our errors that stand for a plug-in, as without workers."""
    kinds = (PluginError, MissingDependencyError)
    return next((kind for kind in kinds if isinstance(error, kind)), EngineError)


def _session(request: SearchRequest) -> Session:
    problem = prepare(request)
    storage = open_storage(request.storage, create=False)
    with storage_errors(request.storage):
        return Session.open(
            problem,
            storage,
            name=request.study,
            seed=None,
            resume=True,
            settings={},
            pruner=request.pruner,
        )


class _PipeActivity(Activity):
    """Sends what is done to the parent."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def tell(self, key: Hashable, deed: Deed | None) -> None:
        """As of every one; an object's identity tells it from others as long as it is there."""
        with suppress(OSError):
            self._pipe.send(Doing(id(key), deed))


class _PipeHandler(logging.Handler):
    """Sends what is logged to the parent."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__(logging.WARNING)
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._pipe.send(record.getMessage())


def _log_to(pipe: Connection) -> None:
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    logger = logging.getLogger("nas_plugins")
    logger.addHandler(_PipeHandler(pipe))
    logger.propagate = False
