"""Asking the language model for a batch: what goes wrong becomes a reason, never an error."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nas_plugins.llm import BudgetExceededError, CallRecord, ChatReply, ChatRequest, ChatSession
from nas_plugins.strategies.llm_coevolution.notes import MAX_REASON
from nas_plugins.strategies.llm_coevolution.words import clean

_logger = logging.getLogger(__name__)

_REMEMBERED = 256
_NULL = "null-"
_CACHED = "cached-"


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        text: The reply; ``None`` where there is none.
        record: The call, fit for a note; ``None`` where not even a call came about.
        reason: Why there is no reply.
        over: Whether the budget is used up, so that asking on is useless.
        cut: Whether the reply was cut at its greatest length.
    """

    text: str | None
    record: CallRecord | None = None
    reason: str = ""
    over: bool = False
    cut: bool = False


class Asker:
    """Asks through a session and remembers the answers of this process.

    A question that was answered is not asked again, so that the same history and the same
    random numbers give the same proposals, and that a worker whose choice another worker took
    meanwhile pays for its question once.

    Args:
        session: Who asks, counts and waits.
    """

    def __init__(self, session: ChatSession) -> None:
        self.session = session
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the model can do."""
        return frozenset(self.session.model.capabilities)

    def ask(self, request: ChatRequest, known: Iterable[CallRecord] = ()) -> Answer:
        """Asks once; never raises.

        Args:
            request: The question.
            known: Calls that notes tell of, for the budget.
        """
        with self._lock:
            if request.digest in self._answers:
                self._answers.move_to_end(request.digest)
                return self._answers[request.digest]
        # The null model's records are made alike in every process; its session counts its own.
        counted = [record for record in known if not record.id.startswith(_NULL)]
        try:
            reply, record = self.session.ask(request, known=counted)
        except Exception as error:  # whatever it is, the search goes on without the model
            return self._failure(request, error)
        answer = Answer(reply.text, self._noted(record, request, reply), cut=reply.cut)
        with self._lock:
            self._answers[request.digest] = answer
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return answer

    def _failure(self, request: ChatRequest, error: Exception) -> Answer:
        over = isinstance(error, BudgetExceededError)
        record = getattr(error, "record", None)
        if not isinstance(record, CallRecord):
            _logger.warning("asking the language model failed", exc_info=error)
            record = None
        reason = record.outcome if record is not None else f"{type(error).__name__}: {error}"
        noted = None if record is None else self._noted(record, request, None)
        return Answer(None, noted, clean(reason, MAX_REASON), over)

    def _noted(
        self, record: CallRecord, request: ChatRequest, reply: ChatReply | None
    ) -> CallRecord:
        """The record without what differs between processes, where nothing was spent."""
        if "null" in self.capabilities:
            return replace(record, id=_NULL + request.digest[:24], started=0.0, seconds=0.0)
        if reply is not None and reply.cached:
            return replace(record, id=_CACHED + request.digest[:24], started=0.0)
        return record


__all__ = ["Answer", "Asker"]
