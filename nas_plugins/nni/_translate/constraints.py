"""NNI's constraints as a check of choice indices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from nas_plugins.nni._translate.base import SpacePart
from nas_plugins.nni._translate.generic import GenericPart

_REMEMBERED = 2**16

Segment: TypeAlias = tuple[frozenset[str], slice, Callable[[Sequence[int]], "dict[str, Any]"]]
"""Some labels, where their decisions stand, and what writes them."""


class Constraints:
    """Asks the constraints of a model space; pickles if they do.

    Only the labels that the constraints depend on are looked at, and answers are remembered, as
    NNI evaluates its expressions at some 50 microseconds each.

    Args:
        parts: What writes the labels, in the order of the decisions.
        constraints: NNI's constraints.
    """

    def __init__(self, parts: Sequence[SpacePart], constraints: Sequence[Any]) -> None:
        self._constraints = tuple(constraints)
        segments = list(_segments(parts))
        named = {str(label) for constraint in constraints for label in constraint.simplify()}
        needed = [one for one in segments if one[0] & named]
        self._segments = needed if self._are_enough(needed) else segments
        self._answers: dict[tuple[int, ...], str | None] = {}

    def __call__(self, indices: tuple[int, ...]) -> str | None:
        """Returns why the indices are not an architecture, or ``None`` if they are one."""
        key = tuple(i for _, place, _ in self._segments for i in indices[place])
        if key not in self._answers:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[key] = self._ask(indices)
        return self._answers[key]

    def _ask(self, indices: Sequence[int]) -> str | None:
        sample: dict[str, Any] = {}
        for _, place, write in self._segments:
            sample |= write(indices[place])
        for constraint in self._constraints:
            error = _error(constraint, sample)
            if error is not None:
                return f"constraint {str(constraint.label)!r}: {' '.join(str(error).split())}"
        return None

    def _are_enough(self, segments: Sequence[Segment]) -> bool:
        """Whether the constraints find all that they ask for; one may not name its labels."""
        from nni.mutable import SampleMissingError

        sample: dict[str, Any] = {}
        for _, place, write in segments:
            sample |= write([0] * (place.stop - place.start))
        try:
            errors = [_error(constraint, sample) for constraint in self._constraints]
        except KeyError:
            return False
        return not any(isinstance(error, SampleMissingError) for error in errors)


def _error(constraint: Any, sample: dict[str, Any]) -> Exception | None:
    from nni.mutable import SampleValidationError

    try:
        # A copy, as a constraint may write into the sample.
        found = constraint.check_contains(dict(sample))
    except SampleValidationError as raised:
        found = raised
    return found if isinstance(found, Exception) else None


def _segments(parts: Sequence[SpacePart]) -> Iterator[Segment]:
    start = 0
    for part in parts:
        smaller: Sequence[SpacePart] = [part]
        if isinstance(part, GenericPart):
            smaller = [GenericPart((one,)) for one in part.dimensions]
        for one in smaller:
            end = start + len(one.decisions)
            yield frozenset(one.labels), slice(start, end), one.write
            start = end
