"""Leading a batch: the model edits the knowledge base, then writes the children of a niche."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from nas_plugins._frozen import FrozenDict
from nas_plugins.llm import CallRecord, ChatRequest
from nas_plugins.spaces.base import Architecture, Key
from nas_plugins.strategies.llm_coevolution.asking import Answer, Asker
from nas_plugins.strategies.llm_coevolution.knowledge import Edit, Entry, KnowledgeBase, fold
from nas_plugins.strategies.llm_coevolution.notes import Batch, Child
from nas_plugins.strategies.llm_coevolution.prompts import off_niche_reason
from nas_plugins.strategies.llm_coevolution.questions import Order, Questions
from nas_plugins.strategies.llm_coevolution.reply import (
    Children,
    EditReader,
    Fault,
    Validator,
    reasons,
)

_TOO_FEW = "- malformed: fewer architectures than asked for"


@dataclass
class Led:
    """What came of an order.

    Attributes:
        order: The order.
        found: Usable children: architecture, origin, rationale.
        edits: Of the knowledge base.
        calls: All that were made.
        counts: See `Batch.counts`.
        reason: Why there are too few children; empty where there are enough.
    """

    order: Order
    found: list[tuple[Architecture, str, str]] = field(default_factory=list)
    edits: tuple[Edit, ...] = ()
    calls: list[CallRecord] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    reason: str = ""

    @property
    def batch(self) -> Batch:
        """What the leader's note keeps."""
        children = tuple(Child(str(a), origin, why) for a, origin, why in self.found)
        counts = FrozenDict({name: n for name, n in sorted(self.counts.items()) if n})
        return Batch(children, self.edits, tuple(self.calls), counts)


@dataclass(frozen=True, eq=False)
class Leader:
    """Makes batches; may be used from several threads at once.

    Attributes:
        questions: Writes the questions.
        asker: Asks them.
    """

    questions: Questions
    asker: Asker

    def lead(self, order: Order) -> Led:
        """Asks for edits of the rules, then for children, and once more where that is needed."""
        led = Led(order, edits=order.edits)
        led.counts["asked"] = order.n
        asks_rules = self.questions.manner.asks_rules and order.candidates
        if not asks_rules or self._edit_rules(led):
            self._generate(led)
        led.counts["legal"] = len(led.found)
        return led

    # -- the knowledge base ----------------------------------------------------------------

    def _edit_rules(self, led: Led) -> bool:
        """Asks for edits; returns False when the budget is used up."""
        order = led.order
        base = self._base(order)
        shown = frozenset(one.trial.number for one in order.candidates)
        genes = self.questions.prompts.genes
        reader = EditReader(genes, base, order.niche.label, shown)
        request = self.questions.knowledge(order, base.seen_from(order.niche.label))
        answer = self._ask(led, request)
        if answer.text is None:
            return not answer.over
        led.edits, faults = reader.read(answer.text)
        if not led.edits and self._worth_repair(faults):
            self._count(led, faults)
            led.counts["repairs"] += 1
            again = self.questions.knowledge_again(request, answer.text, reasons(faults))
            answer = self._ask(led, again)
            if answer.text is None:
                return not answer.over
            led.edits, faults = reader.read(answer.text)
        self._count(led, faults)
        return True

    def _worth_repair(self, faults: Sequence[Fault]) -> bool:
        return self.questions.manner.repairs > 0 and any(f.kind == "malformed" for f in faults)

    def _base(self, order: Order, edits: tuple[Edit, ...] = ()) -> KnowledgeBase:
        """The rules, with edits that no trial holds yet."""
        now = Entry(max(order.trials, default=-1) + 1, order.generation, edits)
        limit = self.questions.manner.max_rules
        return fold((*order.entries, now), max_rules=limit, known=order.trials)

    # -- the children ----------------------------------------------------------------------

    def _generate(self, led: Led) -> None:
        order = led.order
        rules = self._base(order, led.edits).seen_from(order.niche.label)
        request = self.questions.children(order, rules)
        answer = self._ask(led, request)
        if answer.text is None:
            led.reason = f"the model failed: {answer.reason}"
            return
        children = self._take(led, answer, "llm")
        if len(led.found) < order.n and self.questions.manner.repairs > 0:
            led.counts["repairs"] += 1
            again = self.questions.children_again(
                order,
                request,
                answer.text,
                reasons=reasons(children.faults) or _TOO_FEW,
                found=[architecture for architecture, _, _ in led.found],
            )
            answer = self._ask(led, again)
            if answer.text is not None:
                children = self._take(led, answer, "repair")
        led.reason = _why(children, answer) if len(led.found) < order.n else ""

    def _take(self, led: Led, answer: Answer, origin: str) -> Children:
        """Keeps what can be used of a reply."""
        before = [architecture for architecture, _, _ in led.found]
        wanted = led.order.n - len(before)
        children = self._validator(led.order).read(answer.text or "", wanted, before)
        if answer.cut and not children.found:
            # That it makes no sense as a whole is the same fault, and counts once.
            others = [fault for fault in children.faults if fault.kind != "malformed"]
            cut = Fault("malformed", "the reply was too long and has been cut")
            children.faults = [*others, cut]
        self._count(led, children.faults)
        led.found += [(architecture, origin, why) for architecture, why in children.found]
        return children

    def _validator(self, order: Order) -> Validator:
        prompts = self.questions.prompts
        seen: frozenset[Key] = frozenset()
        if self.questions.manner.avoid_duplicates:
            seen = self.questions.history.seen | order.pending

        def off_niche(architecture: Architecture) -> str | None:
            where = int(prompts.partition.niche_of([architecture])[0])
            return off_niche_reason(prompts, order.niche, architecture, where)

        return Validator(prompts.genes, seen, off_niche)

    # -- asking ----------------------------------------------------------------------------

    def _ask(self, led: Led, request: ChatRequest) -> Answer:
        answer = self.asker.ask(request, (*led.order.calls, *led.calls))
        if answer.record is not None:
            led.calls.append(answer.record)
        if answer.text is None:
            led.counts["failed"] += 1
            led.reason = f"the model failed: {answer.reason}"
        return answer

    @staticmethod
    def _count(led: Led, faults: Sequence[Fault]) -> None:
        led.counts.update(fault.kind for fault in faults)


def _why(children: Children, answer: Answer) -> str:
    """Why a batch has too few children, for the notes of those that take their place."""
    if answer.text is None:
        return f"the model failed: {answer.reason}"
    worst = reasons(children.faults, limit=1) or _TOO_FEW
    return f"the reply could not be used: {worst.removeprefix('- ')}"


__all__ = ["Leader", "Led"]
