"""Any of our search spaces as a model space of NNI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nni.mutable import Categorical, Constraint, LabeledMutable, SampleValidationError
from nni.mutable.exception import ConstraintViolation
from nni.mutable.utils import label
from nni.nas.nn.pytorch import ModelSpace

from nas_plugins import _public
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.nni._translate.architecture_space import CONSTRAINT, ArchitectureSpacePart
from nas_plugins.spaces.base import SearchSpace, space_from_json


def model_space(space: SearchSpace | str, **options: Any) -> ArchitectureSpace:
    """Makes a model space of a search space, so that an NNI experiment searches it.

    It has one label per decision; strategies of NNI find valid architectures in it too, and a
    frozen model is the network of the architecture, if the space has one.

    Args:
        space: The space, or the name it is registered under.
        **options: Of the space, for a name only.

    Raises:
        UnknownNameError: The name is not registered; suggests the nearest.
        TypeError: Options are given beside an object.
    """
    if isinstance(space, str):
        space = _public.space(space, **options)
    elif options:
        raise TypeError(f"a space takes no options, got {sorted(options)}")
    return ArchitectureSpace(space.to_json())


class ArchitectureSpace(ModelSpace):  # type: ignore[misc]
    """What `model_space` makes.

    Args:
        spec: The space as `SearchSpace.to_json` writes it: plain data, as NNI sends model spaces
            to trial processes by their arguments.
    """

    nas_plugins_space = True
    """By this mark `translator` knows the space behind a model, wherever it was loaded."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__()
        self._spec = spec
        part = ArchitectureSpacePart(space_from_json(spec))
        choices = {
            name: Categorical(list(values), label=label(name.split("/")))
            for name, values in part.values.items()
        }
        for choice in choices.values():
            self.add_mutable(choice)
        if part.constrained:
            self.add_mutable(IsArchitecture(part, tuple(choices.values())))

    @classmethod
    def create_fixed_module(cls, sample: Mapping[str, Any], spec: Mapping[str, Any]) -> Any:
        """The network of the architecture that `sample` stands for."""
        part = ArchitectureSpacePart(space_from_json(spec))
        names = {str(name): value for name, value in sample.items()}
        return part.space.network(part.space.architectures([part.read(names)])[0])

    def freeze(self, sample: Mapping[str, Any]) -> Any:
        """As `create_fixed_module`."""
        self.validate(sample)
        return self.create_fixed_module(sample, self._spec)


class IsArchitecture(Constraint):  # type: ignore[misc]
    """Holds where the choices are an architecture together."""

    def __init__(self, part: ArchitectureSpacePart, choices: tuple[Any, ...]) -> None:
        self.label = label(CONSTRAINT.split("/"))
        self._part, self._choices = part, choices

    def leaf_mutables(self, is_leaf: Any) -> Iterable[LabeledMutable]:
        """The choices, and this."""
        for choice in self._choices:
            yield from choice.leaf_mutables(is_leaf)
        yield self

    def check_contains(self, sample: Mapping[str, Any]) -> SampleValidationError | None:
        """Says why a sample is not an architecture."""
        names = {str(name): value for name, value in sample.items()}
        try:
            reason = self._part.space.violation(self._part.read(names))
        except InvalidArchitectureError as error:
            reason = str(error)
        return None if reason is None else ConstraintViolation(reason)

    def default(self, memo: Any = None) -> None:
        """Nothing: every choice has a default of its own, and together they need not be one."""
