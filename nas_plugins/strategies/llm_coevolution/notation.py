"""The notation of prompts and replies: architectures as rows of numbers, and grammars for them.

A language model reads and writes an architecture as one number per decision, separated by
spaces, e.g. ``3 1 0 4 2 3`` for a cell of NAS-Bench-201. A prompt shows what the numbers mean
(`Notation.legend`) unless the meaning is hidden; then the numbers are shuffled as well, so that
nothing a model has read about a benchmark applies. Texts from outside are made harmless before
they enter a prompt, a note or a report.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np

from nas_plugins.errors import InvalidArchitectureError, NasPluginsError
from nas_plugins.spaces.base import Architecture, Decision, Rows, SearchSpace

MAX_GENE = 2000
"""Longest text that is tried as a gene."""

_SEPARATORS = re.compile(r"[\s,;|]+")
_BRACKETS = "[](){}\"'`"
_FACT = re.compile(r"position (\d{1,6}) = (\d{1,6})")
_LEGEND_LIMIT = 6000
_SPACE = re.compile(r"[\s\x00-\x1f\x7f\u0085\u200b-\u200f\u2028-\u202f\u2060-\u2069\ufeff]+")
_NAME = re.compile(r"[A-Za-z0-9_.:/%+-]+")
_LONE = re.compile("[\ud800-\udfff]")


Counted: TypeAlias = tuple[str, range]
"""A choice, as text, and how many decisions may take it."""


@dataclass(frozen=True)
class Notation:
    """Genes: how the architectures of one space are written in prompts and replies.

    Attributes:
        space: The space.
        hidden: Whether names of decisions and choices stay out of prompts. The numbers of
            choices are then shuffled, equally for all decisions with the same choices.
    """

    space: SearchSpace
    hidden: bool = False

    @cached_property
    def tokens(self) -> tuple[tuple[int, ...], ...]:
        """Per decision, the number that stands for each choice index."""
        return tuple(self._numbers(decision) for decision in self.space.decisions)

    @cached_property
    def _indices(self) -> list[dict[str, int]]:
        return [{str(token): i for i, token in enumerate(row)} for row in self.tokens]

    @property
    def length(self) -> int:
        """Numbers per gene."""
        return len(self.space.decisions)

    def format(self, architecture: Architecture) -> str:
        """Writes an architecture; `parse` reads it back."""
        return " ".join(str(t[i]) for t, i in zip(self.tokens, architecture.indices, strict=True))

    def parse(self, text: str) -> Architecture:
        """Reads a gene, or the space's own notation where names are not hidden.

        Numbers may also be separated by commas, stand in brackets or, where every number has
        one digit, stand together.

        Raises:
            InvalidArchitectureError: The text is not an architecture of the space; the message
                is short and says why.
        """
        if len(text) > MAX_GENE:
            raise InvalidArchitectureError(f"a gene of {len(text)} characters is too long")
        words = self._words(text)
        if words is None:
            return self._own_notation(text)
        if len(words) != self.length:
            raise InvalidArchitectureError(
                f"a gene has {self.length} numbers, got {len(words)} in {quoted(text)}"
            )
        indices = []
        for position, (word, known) in enumerate(zip(words, self._indices, strict=True), start=1):
            if word not in known:
                options = " ".join(sorted(known, key=int))
                raise InvalidArchitectureError(
                    f"number {position} of a gene is one of {options}, got {quoted(word, 12)}"
                )
            indices.append(known[word])
        reason = self.space.violation(indices)
        if reason is not None:
            told = "this combination is not valid" if self.hidden else clean(reason, 160)
            raise InvalidArchitectureError(f"not an architecture: {told}")
        return Architecture.trusted(self.space, tuple(indices))

    def name(self, position: int, index: int) -> str:
        """What a prompt calls a choice of a decision, e.g. ``position 4 = 3 ("nor_conv_3x3")``."""
        decision, plain = self.space.decisions[position], self.fact(position, index)
        return plain if self.hidden else f"{plain} ({quoted(decision.labels[index], 40)})"

    def fact(self, position: int, index: int) -> str:
        """The same in numbers only, e.g. ``position 4 = 3``."""
        return f"position {position + 1} = {self.tokens[position][index]}"

    def explain(self, text: str) -> str:
        """`name` for a text that `fact` wrote; any other text as it is."""
        match = _FACT.fullmatch(text)
        if match is None or not 1 <= int(match[1]) <= self.length:
            return text
        position = int(match[1]) - 1
        index = self._indices[position].get(match[2])
        return text if index is None else self.name(position, index)

    def token_of(self, choice: str) -> tuple[int, ...]:
        """The numbers by which decisions write a choice, each once, ascending."""
        found = {
            row[i]
            for row, decision in zip(self.tokens, self.space.decisions, strict=True)
            for i, known in enumerate(decision.labels)
            if str(known) == choice
        }
        return tuple(sorted(found))

    @cached_property
    def legend(self) -> str:
        """What the numbers mean, one line per run of decisions with the same choices."""
        lines = []
        numbered = enumerate(zip(self.space.decisions, self.tokens, strict=True), start=1)
        for _, run in groupby(numbered, key=lambda item: _meaning(*item[1])):
            members = list(run)
            lines.append(self._legend_line([n for n, _ in members], [m[0] for _, m in members]))
        return joined(lines, limit=_LEGEND_LIMIT)

    # -- for constrained decoding ----------------------------------------------------------

    @cached_property
    def pattern(self) -> str:
        """A regular expression of the genes, anchored; it does not know which are valid."""
        words = ["|".join(map(str, sorted(row))) for row in self.tokens]
        return "^" + " ".join(f"({word})" for word in words) + "$"

    def grammar(
        self, *, n: int = 1, counted: Counted | None = None, rows: Rows | None = None
    ) -> str:
        """GBNF of `n` genes, one a line.

        Args:
            n: How many, >= 1.
            counted: What each of them keeps to; ignored where the space has no such gene.
            rows: `(R, D)` choice indices of the only architectures that may be written, instead
                of `counted`; ignored where there are none.
        """
        rules = None
        if rows is not None and len(rows):
            rules = self._listing_rules(rows)
        elif counted is not None:
            rules = self._counting_rules(*counted)
        if rules is None:
            rules = [f"gene ::= {' sep '.join(map(_alternatives, self.tokens))}"]
        lines = ' "\\n" '.join(["gene"] * n)
        return "\n".join([f"root ::= {lines}", *rules, 'sep ::= " "']) + "\n"

    def _counting_rules(self, choice: str, counts: range) -> list[str] | None:
        """One rule per position and number of takers so far: right-linear, hence small."""
        having = [self._having(i, choice) for i in range(self.length)]
        left = [sum(h is not None for h in having[i:]) for i in range(self.length + 1)]
        low, high = counts.start, counts.stop - 1
        if not low <= left[0] or high < 0 or low > high:
            return None
        rules, reached = ["gene ::= s0-0"], [0]
        for position, taker in enumerate(having):
            after: list[int] = []
            for taken in reached:
                parts = []
                for takes, tokens in self._split(position, taker):
                    total = taken + takes
                    if tokens and low - left[position + 1] <= total <= high:
                        rest = f" sep s{position + 1}-{total}" * (position + 1 < self.length)
                        parts.append(_alternatives(tokens) + rest)
                        after.append(total)
                if not parts:
                    return None
                rules.append(f"s{position}-{taken} ::= {' | '.join(parts)}")
            reached = list(dict.fromkeys(after))
        return rules

    def _listing_rules(self, rows: Rows) -> list[str]:
        """The least automaton of the rows: equal tails of numbers share their rules."""
        written = np.stack(
            [np.array(row)[rows[:, i]] for i, row in enumerate(self.tokens)], axis=1
        ).astype(np.int16)
        rules: list[str] = []
        names: dict[bytes, str] = {}

        def name_of(tails: Rows) -> str:
            tails = np.unique(tails, axis=0)
            key = bytes([tails.shape[1] % 256]) + tails.tobytes()
            if key not in names:
                followers: dict[str, list[int]] = {}
                for token in np.unique(tails[:, 0]).tolist():
                    rest = tails[tails[:, 0] == token, 1:]
                    after = f" sep {name_of(rest)}" if rest.shape[1] else ""
                    followers.setdefault(after, []).append(token)
                names[key] = f"s{len(names)}"
                parts = [_alternatives(tokens) + after for after, tokens in followers.items()]
                rules.append(f"{names[key]} ::= {' | '.join(parts)}")
            return names[key]

        return [f"gene ::= {name_of(written)}", *rules]

    def _having(self, position: int, choice: str) -> int | None:
        choices = self.space.decisions[position].labels
        return next((i for i, known in enumerate(choices) if str(known) == choice), None)

    def _split(self, position: int, taker: int | None) -> list[tuple[int, list[int]]]:
        """The numbers that do not take the counted choice, and those that do."""
        row = self.tokens[position]
        others = [token for i, token in enumerate(row) if i != taker]
        return [(0, others), (1, [] if taker is None else [row[taker]])]

    # -- reading and writing ---------------------------------------------------------------

    def _numbers(self, decision: Decision) -> tuple[int, ...]:
        n = len(decision.choices)
        if not self.hidden:
            return tuple(range(n))
        # The same choices get the same numbers everywhere, or no rule could speak of them.
        seed = zlib.crc32(repr(decision.labels).encode("utf-8", "surrogatepass"))
        shuffled = np.random.default_rng(seed).permutation(n)
        return tuple(int(token) for token in shuffled)

    def _words(self, text: str) -> list[str] | None:
        """The numbers in `text`, or ``None`` if it holds anything else."""
        bare = text.strip().strip(_BRACKETS).strip()
        words = [word for word in _SEPARATORS.split(bare) if word]
        if not words or not all(word.isascii() and word.isdigit() for word in words):
            return None
        single = all(max(row) < 10 for row in self.tokens)
        if single and len(words) == 1 and len(words[0]) == self.length:
            return list(words[0])
        return [word.lstrip("0") or "0" for word in words]

    def _own_notation(self, text: str) -> Architecture:
        if self.hidden:
            raise InvalidArchitectureError(f"a gene holds numbers only, got {quoted(text)}")
        try:
            return self.space.parse(text)
        except (NasPluginsError, ValueError, TypeError, RecursionError) as error:
            raise InvalidArchitectureError(
                f"a gene is {self.length} numbers separated by spaces, got {quoted(text)}"
            ) from error

    def _legend_line(self, positions: Sequence[int], decisions: Sequence[Decision]) -> str:
        first, last = positions[0], positions[-1]
        where = f"position {first}" if first == last else f"positions {first}-{last}"
        choices = decisions[0].labels
        tokens = self.tokens[first - 1]
        if self.hidden:
            return f"{where}: one of {' '.join(map(str, sorted(tokens)))}"
        names = joined((quoted(d.name, 40) for d in decisions), limit=600, separator=", ")
        meant = sorted(zip(tokens, choices, strict=True))
        values = joined((f"{t} = {quoted(c, 40)}" for t, c in meant), limit=1500, separator=", ")
        order = ", in this order" if decisions[0].ordered else ""
        return f"{where} ({names}{order}): {values}"


def _meaning(decision: Decision, tokens: Sequence[int]) -> tuple[Any, ...]:
    """What decisions have in common that the legend tells in one line."""
    return decision.labels, decision.ordered, tokens


def _alternatives(tokens: Sequence[int]) -> str:
    words = " | ".join(f'"{token}"' for token in sorted(tokens))
    return f"({words})" if len(tokens) > 1 else words


# -- texts -------------------------------------------------------------------------------------


def clean(text: object, limit: int) -> str:
    """One line of at most `limit` characters: no control characters, no lone surrogates.

    Args:
        text: Anything; what is not a text becomes empty.
        limit: Most characters; a text that is cut ends with an ellipsis.
    """
    if not isinstance(text, str):
        return ""
    # Nobody wants a megabyte searched for spaces of which 200 characters are kept.
    line = _LONE.sub("?", _SPACE.sub(" ", text[: 4 * limit])).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def quoted(text: object, limit: int = 60) -> str:
    """A text from outside as a JSON string, so that a reader sees where it ends."""
    return json.dumps(clean(text if isinstance(text, str) else str(text), limit))


def named(text: str, limit: int = 60) -> str:
    """A name as it is where it looks like one, else `quoted`."""
    return text if len(text) <= limit and _NAME.fullmatch(text) else quoted(text, limit)


def number(value: float) -> str:
    """Four significant digits; infinities in words."""
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"


def joined(items: Iterable[str], *, limit: int, separator: str = "\n") -> str:
    """As many items as fit into `limit` characters, the first ones."""
    kept: list[str] = []
    size = 0
    for item in items:
        size += len(item) + len(separator)
        if size > limit and kept:
            break
        kept.append(item)
    return separator.join(kept)
