"""One search in an NNI experiment: where it lives, and its result."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import EngineError, UsageError, unknown_name
from nas_plugins.nni._folder import experiments_in, is_identity
from nas_plugins.runner.display import Score, display
from nas_plugins.runner.engines import folder_of, url_of
from nas_plugins.runner.logs import logging_to
from nas_plugins.runner.problem import prepare
from nas_plugins.runner.request import Outcome, Request
from nas_plugins.runner.results import with_problem

_UNNAMED = "search"
_RECORD, _LOCK = "nas-plugins.json", "nas-plugins.lock"


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


def run(request: Request) -> Outcome:
    """Runs a search in an experiment to its end, whatever ends it.

    Raises:
        NasPluginsError: It could not begin. Once trials run, an error is part of the outcome.
    """
    begun = time.monotonic()
    problem = prepare(request.plan)
    front = problem.true_front()
    shown = display(Score(problem.objectives, front), quiet=request.quiet)
    with contextlib.ExitStack() as stack:
        stack.enter_context(logging_to(shown))
        for remark in problem.remarks():
            shown.say(remark)
        request, place = _placed(request, stack)
        stack.enter_context(place.locked())
        # Only now, as the import of NNI and PyTorch takes seconds.
        from nas_plugins.runner.nni_search import Search

        search = Search(request, problem, place, shown)
        status, error = search.run()
    if not place.kept:
        request = replace(request, url=None, study=None)
    result = with_problem(search.result(), problem, front)
    settings = request.settings(problem, seed=search.seed, status=status)
    result = replace(
        result,
        settings=FrozenDict(settings),
        seconds=time.monotonic() - begun,
        versions=FrozenDict({**result.versions, "nni": version("nni")}),
    )
    return Outcome(result, status, request.url, request.study, error)


def _placed(request: Request, stack: contextlib.ExitStack) -> tuple[Request, Place]:
    """Finds the folder: the storage, that of the results for several workers, or a temporary one.

    As with the other engine, what one worker does is not kept unless that is asked for.

    Raises:
        UsageError: The name of the study is none for an experiment.
        EngineError: There is no experiment of this name to resume, or one to begin.
    """
    if request.url is not None:
        folder, kept = folder_of(request.url), True
    elif request.workers > 1 and request.out is not None:
        folder, kept = request.out, True
    else:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="nas-plugins-"))
        folder, kept = Path(name), False
    request = replace(request, url=url_of(folder), study=request.study or _UNNAMED)
    identity = request.study or _UNNAMED
    if not is_identity(identity):
        raise UsageError(
            "--study must be at most 32 letters, digits, `-` and `_`, as it is the identity of "
            f"an NNI experiment, got {identity!r}"
        )
    known = experiments_in(folder)
    if request.resume and identity not in known:
        raise unknown_name(f"study of {request.url}", identity, known)
    if not request.resume and identity in known:
        raise request.exists_already()
    return request, Place(folder, identity, kept)


__all__ = ["Place", "run"]
