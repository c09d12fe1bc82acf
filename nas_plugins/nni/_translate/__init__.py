"""Samples of NNI model spaces as architectures, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from nas_plugins.nni._translate.activity import conditions
from nas_plugins.nni._translate.architecture_space import ArchitectureSpacePart
from nas_plugins.nni._translate.base import SpacePart, Translator
from nas_plugins.nni._translate.composed import ComposedSpace, Conditions
from nas_plugins.nni._translate.constraints import Constraints
from nas_plugins.nni._translate.darts import SIZES, DARTSPart
from nas_plugins.nni._translate.generic import GenericPart, OneOf
from nas_plugins.nni._translate.nasbench101 import NASBench101Part
from nas_plugins.nni._translate.nasbench201 import NASBench201Part
from nas_plugins.spaces.categorical import CategoricalSpace

Core: TypeAlias = ArchitectureSpacePart | NASBench201Part | NASBench101Part | DARTSPart

_PUBLISHED = (NASBench201Part, NASBench101Part, DARTSPart)


def translator(model_space: Any) -> Translator:
    """How the samples of a model space translate to architectures.

    Of what `nas_plugins.nni.model_space` has made it is the space that this was made of. What
    the space of another is follows from its labels and their values:

    ==========================================  ================================================
    model space                                 space of the architectures
    ==========================================  ================================================
    hub ``NasBench201``, ``NasBench101``,       ``nasbench201``, ``nasbench101``, ``darts``
    ``DARTS`` of one width and depth
    one of these and further labels (width,     a `ComposedSpace`: the decisions of the cell,
    depth, what an evaluator tunes)             then one per further label
    any other                                   a ``categorical`` space, one decision per label
    any with choices that do not always count,  a `ComposedSpace`
    with constraints, or with a choice of k
    out of very many values
    ==========================================  ================================================

    A Categorical is one decision; a CategoricalMultiple of a fixed number is one decision over
    the subsets (up to 64, beyond that one per pick), of any number one decision per value; a
    Numerical is one decision over its quantised values (up to 256). Prior weights are not used.
    A combination that violates a constraint is no architecture of the space, so it is never
    proposed. Choices in blocks beyond the depth of a ``Repeat``, or in layers that are not chosen,
    do not count: samples that differ only there have the same key and are not evaluated twice.

    Args:
        model_space: A model space, executable or not, or anything else with ``simplify()``.

    Raises:
        ValueError: There is nothing to choose, or a label has too many values or a kind that
            cannot be searched; names it and says how to fix it.
    """
    mutables = {str(label): mutable for label, mutable in model_space.simplify().items()}
    core = _core(model_space, mutables)
    known = core.labels if core else ()
    rest = {label: mutable for label, mutable in mutables.items() if label not in known}
    others = GenericPart.of(rest)
    constraints = _constraints(rest)
    parts: tuple[SpacePart, ...] = tuple(p for p in (core, others) if p and p.decisions)
    if not parts:
        raise ValueError("`model_space` must have something to choose, got no labelled choice")
    when = {} if core else _when(others, model_space)
    if constraints or when or others.picks or len(parts) > 1:
        return _composed(core, others, constraints, when)
    if core:
        return Translator(core.space, parts)
    return Translator(CategoricalSpace({d.name: d.choices for d in others.decisions}), parts)


def _core(model_space: Any, mutables: Mapping[str, Any]) -> Core | None:
    """The part that is a space of ours or a published one."""
    core: Core | None = ArchitectureSpacePart.find(model_space)
    published = (part for kind in _PUBLISHED if (part := kind.find(mutables)))
    return core or next(published, None)


def _composed(
    core: Core | None,
    others: GenericPart,
    constraints: tuple[Any, ...],
    when: Conditions,
) -> Translator:
    parts: tuple[SpacePart, ...] = tuple(p for p in (core, others) if p and p.decisions)
    sizes = _sizes(others) if isinstance(core, DARTSPart) else {}
    space = ComposedSpace(
        {d.name: d.choices for part in parts for d in part.decisions},
        core=core.space.to_json() if core else None,
        sizes=sizes,
        conditions=when,
        picks=others.picks,
        constraints=[f"{c.label}: {c!r}" for c in constraints],
    )
    if constraints:
        space = space.bound(Constraints(parts, constraints))
    return Translator(space, parts)


def _when(others: GenericPart, model_space: Any) -> Conditions:
    """When the decisions of the remaining labels count, where that follows from other labels."""
    if len(others.dimensions) < 2:
        return {}
    single = {one.label for one in others.dimensions if isinstance(one, OneOf)}
    found = conditions(model_space)
    return {
        decision.name: [[(label, sorted(taken)) for label, taken in c.items()] for c in places]
        for one in others.dimensions
        for decision in one.decisions
        if (places := found.get(one.label)) and all(single.issuperset(c) for c in places)
    }


def _sizes(others: GenericPart) -> dict[str, str]:
    """Which of the remaining labels are sizes of the hub's DARTS network."""
    integers = {
        one.label
        for one in others.dimensions
        if isinstance(one, OneOf) and all(type(value) is int for value in one.values)
    }
    return {option: label for option, label in SIZES.items() if label in integers}


def _constraints(mutables: Mapping[str, Any]) -> tuple[Any, ...]:
    from nni.mutable import Constraint

    return tuple(m for m in mutables.values() if isinstance(m, Constraint))


__all__ = ["Translator", "translator"]
