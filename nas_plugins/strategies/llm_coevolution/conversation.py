"""Asking the language model for a generation: first for edits of the rules, then for children.

What goes wrong becomes a reason, never an error.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

from nas_plugins.llm import BudgetExceededError, CallRecord, ChatReply, ChatRequest, ChatSession
from nas_plugins.spaces.base import Key
from nas_plugins.strategies.llm_coevolution.config import CoEvolutionOptions
from nas_plugins.strategies.llm_coevolution.knowledge import Edit, KnowledgeBase
from nas_plugins.strategies.llm_coevolution.log import MAX_REASON
from nas_plugins.strategies.llm_coevolution.notation import clean
from nas_plugins.strategies.llm_coevolution.prompts import Prompts
from nas_plugins.strategies.llm_coevolution.replies import (
    Fault,
    read_children,
    read_edits,
    reasons,
)
from nas_plugins.strategies.llm_coevolution.schedule import (
    NicheGeneration,
    NicheSchedule,
    Offspring,
)

_logger = logging.getLogger(__name__)

_REMEMBERED = 256
_NULL = "null-"
_CACHED = "cached-"
_TOO_FEW = "- malformed: fewer architectures than asked for"


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


class RememberingSession:
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


class Conversation:
    """Has the model make generations; may be used from several threads at once.

    Args:
        schedule: Of the search.
        session: Who asks.
    """

    def __init__(self, schedule: NicheSchedule, session: RememberingSession) -> None:
        self.schedule = schedule
        self.session = session
        self.small = "small" in session.capabilities
        self.prompts = Prompts(schedule, self.small)

    @property
    def _options(self) -> CoEvolutionOptions:
        return self.schedule.options

    def make(self, generation: NicheGeneration) -> NicheGeneration:
        """Asks for edits of the rules, then for children, and once more where that is needed."""
        generation.counts["asked"] = generation.n
        asks_rules = self._options.knowledge == "llm" and generation.candidates
        if not asks_rules or self._edit_rules(generation):
            self._breed(generation)
        generation.counts["legal"] = len(generation.found)
        return generation

    # -- the knowledge base ----------------------------------------------------------------

    def _edit_rules(self, generation: NicheGeneration) -> bool:
        """Asks for edits; returns False when the budget is used up."""
        label, base = generation.niche.label, self._rules(generation)
        shown = frozenset(one.trial.number for one in generation.candidates)
        read = partial(
            read_edits, notation=self.schedule.notation, base=base, scope=label, shown=shown
        )
        request = self.prompts.knowledge(generation, base.seen_from(label))
        answer = self._ask(generation, request)
        if answer.text is None:
            return not answer.over
        generation.edits, faults = read(answer.text)
        if not generation.edits and self._worth_repair(faults):
            _count(generation, faults)
            generation.counts["repairs"] += 1
            again = self.prompts.knowledge_again(request, answer.text, reasons(faults))
            answer = self._ask(generation, again)
            if answer.text is None:
                return not answer.over
            generation.edits, faults = read(answer.text)
        _count(generation, faults)
        return True

    def _worth_repair(self, faults: Sequence[Fault]) -> bool:
        return self._options.repairs > 0 and any(f.kind == "malformed" for f in faults)

    def _rules(self, generation: NicheGeneration, edits: tuple[Edit, ...] = ()) -> KnowledgeBase:
        """The rules, with edits that no trial holds yet."""
        tally = self.schedule.tally
        if self._options.knowledge == "off":
            return KnowledgeBase()
        return tally.rules_after(
            (int(tally.numbers.max(initial=-1)) + 1, generation.number, edits)
        )

    # -- the children ----------------------------------------------------------------------

    def _breed(self, generation: NicheGeneration) -> None:
        rules = self._rules(generation, generation.edits).seen_from(generation.niche.label)
        request = self.prompts.children(generation, rules)
        answer = self._ask(generation, request)
        if answer.text is None:
            return
        faults = self._take(generation, answer, "llm")
        if len(generation.found) < generation.n and self._options.repairs > 0:
            generation.counts["repairs"] += 1
            again = self.prompts.children_again(
                generation, request, answer.text, reasons(faults) or _TOO_FEW
            )
            answer = self._ask(generation, again)
            if answer.text is not None:
                faults = self._take(generation, answer, "repair")
        generation.reason = ""
        if len(generation.found) < generation.n:
            generation.reason = _why(faults, answer)

    def _take(self, generation: NicheGeneration, answer: Answer, origin: str) -> list[Fault]:
        """Keeps what can be used of a reply; returns what is wrong with the rest."""
        before = [child.architecture for child in generation.found]
        seen: Set[Key] = frozenset()
        if self._options.avoid_duplicates:
            seen = self.schedule.history.seen | self.schedule.waiting
        found, faults = read_children(
            answer.text or "",
            self.schedule.notation,
            wanted=generation.n - len(before),
            seen=seen,
            off_niche=partial(self.prompts.off_niche, generation.niche),
            before=before,
        )
        if answer.cut and not found:
            # That it makes no sense as a whole is the same fault, and counts once.
            others = [fault for fault in faults if fault.kind != "malformed"]
            faults = [*others, Fault("malformed", "the reply was too long and has been cut")]
        _count(generation, faults)
        parents = tuple(one.trial.number for one in generation.parents)
        generation.found += [
            Offspring(architecture, origin, generation.operator, parents, rationale)
            for architecture, rationale in found
        ]
        return faults

    def _ask(self, generation: NicheGeneration, request: ChatRequest) -> Answer:
        answer = self.session.ask(request, (*self.schedule.calls, *generation.calls))
        if answer.record is not None:
            generation.calls.append(answer.record)
        if answer.text is None:
            generation.counts["failed"] += 1
            generation.reason = f"the model failed: {answer.reason}"
        return answer


def _count(generation: NicheGeneration, faults: Sequence[Fault]) -> None:
    generation.counts.update(fault.kind for fault in faults)


def _why(faults: Sequence[Fault], answer: Answer) -> str:
    """Why a generation has too few children, for the notes of those that take their place."""
    if answer.text is None:
        return f"the model failed: {answer.reason}"
    worst = reasons(faults, limit=1) or _TOO_FEW
    return f"the reply could not be used: {worst.removeprefix('- ')}"
