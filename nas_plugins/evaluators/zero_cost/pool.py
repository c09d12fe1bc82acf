"""Many architectures scored in processes of their own, each on one thread.

Each process is a fresh interpreter that reads architectures from its standard input and answers
with scores. Nothing of the caller's main module is run again, so a script needs no
``if __name__ == "__main__"``. A process that dies costs its own architecture alone, and that one
is tried once more. When the caller dies, the pipe ends and so do they.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nas_plugins.errors import EngineError
from nas_plugins.spaces.base import Architecture

if TYPE_CHECKING:
    from nas_plugins.evaluators.zero_cost.engine import Scores
    from nas_plugins.evaluators.zero_cost.scoring import Scorer

LOST = "the process that scored it was lost"

_TICK = 0.2  # seconds after which the caller looks at signals again
_TRIES = 2
_COMMAND = "from nas_plugins.evaluators.zero_cost.pool import work; work()"
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


ScoringTask = tuple[Architecture, tuple[str, ...]]
"""A representative to score, and names of the proxies to compute."""


def in_processes(
    scorer: Scorer, tasks: Sequence[ScoringTask], workers: int
) -> Iterator[tuple[int, Scores]]:
    """Yields position and scores of each task as they come; ends its processes in any case.

    Args:
        scorer: Does the work; pickles.
        tasks: What to score.
        workers: How many processes at most.

    Raises:
        EngineError: No process can be started.
    """
    pool = _Pool(scorer, tasks)
    try:
        pool.start(min(workers, len(tasks)))
        for _ in tasks:
            yield pool.result()
    finally:
        pool.stop()


class _Pool:
    """A thread per process: it feeds the process and waits for the answers.

    Args:
        scorer: Sent to each process once.
        tasks: What to score.
    """

    def __init__(self, scorer: Scorer, tasks: Sequence[ScoringTask]) -> None:
        self._scorer = scorer
        self._open = deque(enumerate(tasks))
        self._results: queue.SimpleQueue[tuple[int, Scores] | Exception] = queue.SimpleQueue()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._threads: list[threading.Thread] = []

    def start(self, n: int) -> None:
        """Starts `n` threads with a process each."""
        self._threads = [threading.Thread(target=self._drive, daemon=True) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def result(self) -> tuple[int, Scores]:
        """The next result."""
        while True:
            with suppress(queue.Empty):
                # Without a limit Ctrl-C would not be seen on every system.
                found = self._results.get(timeout=_TICK)
                if isinstance(found, Exception):
                    raise found
                return found

    def stop(self) -> None:
        """Ends what still runs."""
        with self._lock:
            self._stopped = True
            self._open.clear()
            for process in self._processes:
                process.kill()
        for thread in self._threads:
            thread.join()

    def _drive(self) -> None:
        """The life of a thread."""
        process: subprocess.Popen[bytes] | None = None
        try:
            while True:
                try:
                    position, task = self._open.popleft()
                except IndexError:
                    break
                for attempt in range(_TRIES):
                    process = process or self._begin()
                    if process is None:
                        return
                    try:
                        self._results.put((position, _asked(process, task)))
                        break
                    except (OSError, EOFError, pickle.UnpicklingError):
                        ending = self._ended(process)
                        process = None
                    if attempt + 1 == _TRIES:
                        reason = f"{LOST} {_TRIES} times ({ending})"
                        self._results.put((position, self._scorer.failed(task[1], reason)))
        except Exception as error:
            self._results.put(error)
        finally:
            if process is not None:
                self._ended(process)

    def _begin(self) -> subprocess.Popen[bytes] | None:
        """A new process; ``None`` when it is not wanted any more."""
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        with self._lock:
            if self._stopped:
                return None
            try:
                process = subprocess.Popen(
                    [sys.executable, "-c", _COMMAND],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                    # Ctrl-C is for the caller, which ends the processes.
                    start_new_session=True,
                )
            except OSError as error:
                raise EngineError(f"a process to score in cannot be started: {error}") from error
            self._processes.add(process)
        with suppress(OSError):  # one that died at once is met again when it is asked
            _send(process.stdin, self._scorer)
        return process

    def _ended(self, process: subprocess.Popen[bytes]) -> str:
        """Waits for a process that has no more to do, and says how it ended."""
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        if process.stdout is not None:
            process.stdout.close()
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"


def _asked(process: subprocess.Popen[bytes], task: ScoringTask) -> Scores:
    _send(process.stdin, task)
    if process.stdout is None:
        raise EOFError
    scores: Scores = pickle.load(process.stdout)
    return scores


def _send(stream: Any, message: object) -> None:
    pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def work() -> None:
    """The life of a process: a `Scorer` comes first, then tasks until the pipe ends."""
    requests = sys.stdin.buffer
    # What a network prints must not get among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    scorer: Scorer | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            message = pickle.load(requests)
            if scorer is None:
                scorer = message
            else:
                _send(answers, scorer.score(*message))
    # Nothing is left to flush: the interpreter's own way out takes half a second with PyTorch.
    os._exit(0)
