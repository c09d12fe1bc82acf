"""Every call to a language model, made or under way, in one file that processes share."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import DataError
from nas_plugins.llm.base import COUNT, FLAG, NUMBER, TEXT, ChatRequest, refuse_wrong_types
from nas_plugins.llm.budget import Spent, measure
from nas_plugins.llm.jsonl import JsonLines

_LOG = logging.getLogger(__name__)

OK = "ok"
_EVENT, _RESERVE, _DONE = "event", "reserve", "done"


@dataclass(frozen=True)
class CallRecord:
    """One finished call.

    Attributes:
        id: Tells calls apart, in every process.
        role: What the call was for, e.g. ``"crossover"``; empty where not said, as the next.
        niche: Niche that it served.
        generation: Generation in that niche.
        trial: Number of the trial that made it.
        asked: Name of the model that was asked, e.g. ``"openai:gpt-4.1"``.
        model: Name of the model as it was returned; empty where there was no reply.
        parameters: Sampling parameters of the request.
        template: Name and version of the prompt.
        prompt_hash: SHA-256 of the messages.
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Tokens of the reply.
        lost_tokens: Most tokens that attempts without a reply may have cost; budgets count them.
        started: When, in seconds since 1970 (UTC).
        seconds: From the first attempt to the end of the last, waits between them included.
        attempts: How often the model was asked; 0 for a reply out of a cache or a refusal to
            call because of the budget.
        finish_reason: As the model returned it.
        cached: Whether the reply was recorded before; then nothing was spent.
        estimated: Whether the token counts are bounds, as the endpoint counted none.
        usd: What it cost, or ``None`` where that is not known ("unpriced").
        outcome: ``"ok"``, or what went wrong.
    """

    id: str
    role: str = ""
    niche: str = ""
    generation: str = ""
    trial: str = ""
    asked: str = ""
    model: str = ""
    parameters: FrozenDict[Any] = field(default_factory=FrozenDict, hash=False)
    template: str = ""
    prompt_hash: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    lost_tokens: int = 0
    started: float = 0.0
    seconds: float = 0.0
    attempts: int = 0
    finish_reason: str = ""
    cached: bool = False
    estimated: bool = False
    usd: float | None = None
    outcome: str = OK

    @property
    def ok(self) -> bool:
        """Whether there was a reply."""
        return self.outcome == OK

    @property
    def tokens(self) -> int:
        """All tokens that budgets count: none where the reply was cached."""
        if self.cached:
            return 0
        return self.prompt_tokens + self.completion_tokens + self.lost_tokens

    def to_json(self) -> dict[str, Any]:
        """Returns plain data; `usd` is ``"unpriced"`` where it is not known."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["parameters"] = dict(self.parameters)
        data["usd"] = "unpriced" if self.usd is None else self.usd
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CallRecord:
        """Reads what `to_json` wrote; keys that are not known are left out.

        Raises:
            ValueError: A value is missing or of the wrong type.
        """
        found = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        if "id" not in found:
            raise ValueError("`id` of a call must be given")
        if found.get("usd") == "unpriced":
            found["usd"] = None
        refuse_wrong_types("a call", found, _TYPES)
        found["parameters"] = FrozenDict(found.get("parameters", {}))
        return cls(**found)


_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "role", "niche", "generation", "trial", "asked", "model"), TEXT),
    **dict.fromkeys(("template", "prompt_hash", "finish_reason", "outcome"), TEXT),
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "lost_tokens", "attempts"), COUNT),
    **dict.fromkeys(("started", "seconds"), NUMBER),
    **dict.fromkeys(("cached", "estimated"), FLAG),
    "parameters": (dict, FrozenDict),
    "usd": (*NUMBER, type(None)),
}


@dataclass(frozen=True)
class Reservation:
    """What is kept back for a call that is under way.

    Attributes:
        id: Of the call.
        attempts: How often the model will have been asked, with the attempt it is for.
        tokens: Most tokens that all these attempts may have cost.
        usd: Most US dollars that they may have cost; 0 where no price is known.
        started: When the call began, in seconds since 1970 (UTC).
        tags: Role, niche and so on, for people who read the file.
    """

    id: str
    attempts: int
    tokens: int
    usd: float
    started: float
    tags: FrozenDict[str] = field(default_factory=FrozenDict)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return {**asdict(self), "tags": dict(self.tags)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reservation:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: A value is missing or of the wrong type.
        """
        found = {f.name: data.get(f.name) for f in fields(cls)}
        tags = found.pop("tags")
        refuse_wrong_types("a reservation", found, _RESERVED)
        return cls(**found, tags=FrozenDict(tags if isinstance(tags, dict) else {}))  # type: ignore[arg-type]


_RESERVED: dict[str, tuple[type, ...]] = {
    "id": TEXT,
    **dict.fromkeys(("attempts", "tokens"), COUNT),
    **dict.fromkeys(("usd", "started"), NUMBER),
}


class Ledger:
    """The calls of a search: those of this process, and of all others that share the file.

    Before a call a line reserves the most that it may cost, behind it a line tells what it did
    cost. So what a killed process was doing stays counted as if it had cost the most.

    Args:
        path: The file; ``None`` keeps the calls in memory.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._lines = None if path is None else JsonLines(path)
        self._mutex = threading.RLock()
        self._done: dict[str, CallRecord] = {}
        self._open: dict[str, Reservation] = {}
        self._own: set[str] = set()

    @property
    def path(self) -> Path | None:
        """The file."""
        return None if self._lines is None else self._lines.path

    def check(self) -> None:
        """Tells before anything is asked that the file cannot be written.

        Raises:
            OSError: It cannot be opened to append, or locked.
        """
        if self._lines is not None:
            self._lines.check()

    def records(self, known: Iterable[CallRecord] = ()) -> tuple[CallRecord, ...]:
        """The finished calls in the file, of this process and `known`, each once.

        Raises:
            DataError: The file has a broken line; names it.
        """
        with self._mutex:
            self._refresh()
            return tuple(self._united(known).values())

    def unfinished(self) -> tuple[Reservation, ...]:
        """The calls that are under way, or were when their process was killed."""
        with self._mutex:
            self._refresh()
            return tuple(self._open.values())

    def spent(self, *, now: float, known: Iterable[CallRecord] = ()) -> Spent:
        """What is used up, calls under way included.

        Args:
            now: The time, in seconds since 1970 (UTC).
            known: Further finished calls, e.g. those in a search's history.
        """
        with self._mutex:
            self._refresh()
            return self._spent(now, known)

    def reserve(
        self,
        wanted: Reservation,
        check: Callable[[Spent], None],
        *,
        now: float,
        known: Iterable[CallRecord] = (),
    ) -> None:
        """Reserves, unless `check` raises about what is used up by all the other calls.

        Nobody else can reserve between the check and the reservation.

        Raises:
            DataError: The file has a broken line; names it.
            OSError: The file cannot be written.
        """
        with self._mutex:
            held = nullcontext(-1) if self._lines is None else self._lines.exclusive()
            with held as descriptor:
                self._refresh()
                before = self._open.pop(wanted.id, None)
                try:
                    check(self._spent(now, known))
                    if self._lines is not None:
                        line = {_EVENT: _RESERVE, **wanted.to_json()}
                        self._lines.append_to(descriptor, line)
                except BaseException:
                    if before is not None:
                        self._open[wanted.id] = before
                    raise
                self._open[wanted.id] = wanted
                self._own.add(wanted.id)

    def settle(self, record: CallRecord) -> None:
        """Notes how a call ended. A file that cannot be written costs a logged warning."""
        with self._mutex:
            self._take(record)
            if self._lines is not None:
                try:
                    self._lines.append({_EVENT: _DONE, **record.to_json()})
                except (OSError, ValueError) as error:
                    _LOG.warning("cannot note a call in %s: %s", self._lines.path, error)

    def _spent(self, now: float, known: Iterable[CallRecord]) -> Spent:
        done = self._united(known)
        under_way = [r for r in self._open.values() if r.id not in done]
        # Whoever made another process's reservation may be dead for long.
        spans = [(r.started, now) for r in under_way if r.id in self._own]
        spans += [(r.started, r.started + r.seconds) for r in done.values() if not r.cached]
        calls: list[CallRecord | Reservation] = [*done.values(), *under_way]
        return Spent(
            calls=sum(r.attempts for r in calls),
            tokens=sum(r.tokens for r in calls),
            usd=sum(0.0 if r.cached else r.usd or 0.0 for r in done.values())
            + sum(r.usd for r in under_way),
            seconds=measure(spans),
        )

    def _united(self, known: Iterable[CallRecord]) -> dict[str, CallRecord]:
        return {**{record.id: record for record in known}, **self._done}

    def _take(self, record: CallRecord) -> None:
        self._done[record.id] = record
        self._open.pop(record.id, None)

    def _refresh(self) -> None:
        for number, data in [] if self._lines is None else self._lines.new():
            try:
                if data.get(_EVENT) == _DONE:
                    self._take(CallRecord.from_json(data))
                elif data.get(_EVENT) == _RESERVE:
                    reservation = Reservation.from_json(data)
                    if reservation.id not in self._done:
                        self._open[reservation.id] = reservation
                else:
                    raise ValueError(f"`event` must not be {data.get(_EVENT)!r}")
            except ValueError as error:
                raise DataError(f"line {number} of {self.path}: {error}") from error


def new_record(request: ChatRequest, *, asked: str, started: float) -> CallRecord:
    """The record of a call that begins, with a new id."""
    tags = request.tags
    return CallRecord(
        id=uuid.uuid4().hex,
        role=tags.get("role", ""),
        niche=tags.get("niche", ""),
        generation=tags.get("generation", ""),
        trial=tags.get("trial", ""),
        asked=asked,
        parameters=FrozenDict(
            {
                "temperature": request.temperature,
                "max_tokens": request.max_tokens,
                "seed": request.seed,
                "sample": request.sample,
            }
        ),
        template=request.template,
        prompt_hash=request.prompt_hash,
        started=started,
    )


def read_ledger(path: str | Path) -> tuple[CallRecord, ...]:
    """The finished calls of a ledger file, in order.

    Raises:
        DataError: There is no such file, or a line is broken; names it.
    """
    if not Path(path).is_file():
        raise DataError(f"there is no ledger at {path}")
    return Ledger(path).records()
