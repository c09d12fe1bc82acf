"""What an LLM co-evolution adds to the result of a search: a block of JSON, lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins.llm import CallRecord
from nas_plugins.report._format import count
from nas_plugins.results import SearchResult
from nas_plugins.strategies.llm_coevolution.log import (
    CoEvolutionLog,
    Totals,
    coevolution_log,
)

BLOCK = "llm_coevolution"
"""Name of the block in ``result.json`` and in the document of ``--json``."""

_WRITTEN = ("legal", "malformed", "illegal", "duplicate", "off-niche")


def with_story(result: SearchResult) -> SearchResult:
    """Adds the block `BLOCK` to the result of an LLM co-evolution; leaves others as they are."""
    options = result.settings.get("strategy_options") or {}
    most = options.get("max_rules", 20)
    log = coevolution_log(result.history, max_rules=most if isinstance(most, int) else 20)
    if log is None:
        return result
    return replace(result, details=FrozenDict({**result.details, BLOCK: _block(log)}))


def _block(log: CoEvolutionLog) -> dict[str, Any]:
    """Niches, rules, counts, rates, costs; not the calls one by one, which the notes have."""
    told = log.to_json()
    del told["changes"], told["calls"]
    told["models"] = sorted({call.model or call.asked for call in log.calls})
    told["not_made"] = sum(not (call.attempts or call.cached) for call in log.calls)
    told["by_role"] = _by_role(log.calls)
    return told


def _by_role(calls: Sequence[CallRecord]) -> dict[str, Any]:
    roles = sorted({call.role for call in calls})
    return {role: vars(Totals.of([c for c in calls if c.role == role])) for role in roles}


def story_lines(result: SearchResult) -> Iterator[str]:
    """What the model did and cost, for a terminal; nothing for other searches."""
    block = result.details.get(BLOCK)
    if block is None:
        return
    totals, counts, rates = block["totals"], block["counts"], block["rates"]
    if not totals["calls"]:
        yield f"no language model was asked; {_niches(block)}"
    else:
        models = ", ".join(block["models"])
        yield f"language model {models}: {_costs(totals, block['not_made'])}; {_niches(block)}"
        written = sum(counts[kind] for kind in _WRITTEN)
        share = f" ({counts['legal'] / written:.1%})" if written else ""
        yield (
            f"{counts['legal']} of {written} children usable{share} · "
            f"second questions {counts['repairs']} · fallback {block['origins']['classical']} "
            f"trials ({rates.get('fallback', 0.0):.1%})"
        )
    if block["fallbacks"]:
        reason, number = next(iter(block["fallbacks"].items()))
        yield f"most frequent reason of fallback ({number}x): {reason}"


def _costs(totals: Mapping[str, Any], not_made: int) -> str:
    paid = totals["calls"] - totals["cached"]
    parts = [count(totals["calls"] - not_made, "call")]
    told = {"cached": totals["cached"], "failed": totals["failed"] - not_made}
    parts += [f"{number} {word}" for word, number in told.items() if number]
    parts += [f"{not_made} not made for want of budget"] if not_made else []
    parts.append(count(totals["prompt_tokens"] + totals["completion_tokens"], "token"))
    parts.append(f"{totals['seconds']:.1f} s")
    if paid and totals["unpriced"] == paid:
        parts.append("unpriced")
    else:
        parts.append(f"{totals['usd']:.4g} USD")
        parts += [f"{count(totals['unpriced'], 'call')} unpriced"] if totals["unpriced"] else []
    return ", ".join(parts)


def _niches(block: Mapping[str, Any]) -> str:
    return f"{count(len(block['rules']), 'rule')}, {count(len(block['niches']), 'niche')}"


__all__ = ["BLOCK", "story_lines", "with_story"]
