"""Between NNI's samples and architectures: what every translation has in common.

A sample is NNI's dictionary of choices by label. A model space is cut into parts, each of which
reads and writes the labels it knows: a cell of a published space, and whatever is left over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.spaces.base import Architecture, Decision, SearchSpace


class SpacePart(Protocol):
    """Some labels of a model space, and the decisions that stand for them."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions, in order."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that `read` needs and `write` sets, and those of constraints it keeps."""
        ...

    def read(self, sample: Mapping[str, Any]) -> tuple[int, ...]:
        """Choice indices of a sample, one per decision.

        Raises:
            InvalidArchitectureError: A label is missing, or its value is not one of the choices.
        """
        ...

    def write(self, indices: Sequence[int]) -> dict[str, Any]:
        """The values by label; inverse of `read`."""
        ...


@dataclass(frozen=True, eq=False)
class Translator:
    """Turns the samples of one model space into architectures and back.

    Attributes:
        space: The space of the architectures. The published one where the model space is
            exactly that (see `translator`).
        parts: What reads and writes the labels, in the order of the space's decisions.
    """

    space: SearchSpace
    parts: tuple[SpacePart, ...]

    def architecture(self, sample: Mapping[str, Any]) -> Architecture:
        """Reads a sample. Labels that no part knows, such as those of constraints, are ignored.

        Raises:
            InvalidArchitectureError: A label is missing, a value is not one of the choices, or
                they are not an architecture together.
        """
        plain = {str(label): value for label, value in sample.items()}
        indices = [index for part in self.parts for index in part.read(plain)]
        return Architecture(self.space, tuple(indices))

    def sample(self, architecture: Architecture) -> dict[str, Any]:
        """Writes the sample of an architecture: a new dictionary with plain strings as keys.

        ``translator.architecture(translator.sample(a))`` has the key of ``a``, and where nothing
        is pruned (that is, everywhere but in NAS-Bench-101) it is ``a``.

        Raises:
            InvalidArchitectureError: The architecture is of another space.
        """
        if architecture.space != self.space:
            raise InvalidArchitectureError(
                f"`architecture` must be of the space {self.space.name!r} of this translator, "
                f"got one of {architecture.space.name!r}"
            )
        sample: dict[str, Any] = {}
        start = 0
        for part in self.parts:
            end = start + len(part.decisions)
            sample |= part.write(architecture.indices[start:end])
            start = end
        return sample


def value_of(sample: Mapping[str, Any], label: str) -> Any:
    """The value of a label.

    Raises:
        InvalidArchitectureError: The sample has none.
    """
    if label not in sample:
        raise InvalidArchitectureError(
            f"`sample` lacks the label {label!r}; it has {sorted(sample)}"
        )
    return sample[label]


def integers(label: str, value: Any) -> list[int]:
    """A list of chosen inputs as plain integers; tuples and arrays are taken too.

    Raises:
        InvalidArchitectureError: It is something else.
    """
    if isinstance(value, str):
        raise InvalidArchitectureError(f"label {label!r} takes a list of inputs, got {value!r}")
    try:
        found = [int(v) for v in value]
        exact = all(int(v) == v for v in value)
    except (TypeError, ValueError):
        exact = False
    if not exact:
        raise InvalidArchitectureError(f"label {label!r} takes a list of inputs, got {value!r}")
    return found


def is_choice(mutable: Any, values: Sequence[Any]) -> bool:
    """Whether a mutable takes exactly one of `values`, listed in any order."""
    from nni.mutable import Categorical

    return (
        isinstance(mutable, Categorical)
        and len(mutable.values) == len(values)
        and all(value in mutable.values for value in values)
    )


def is_subset(mutable: Any, n: int, n_chosen: int | None) -> bool:
    """Whether a mutable takes `n_chosen` of 0 to n - 1; ``None``: any number of them."""
    from nni.mutable import CategoricalMultiple

    return (
        isinstance(mutable, CategoricalMultiple)
        and mutable.n_chosen == n_chosen
        and list(mutable.values) == list(range(n))
    )
