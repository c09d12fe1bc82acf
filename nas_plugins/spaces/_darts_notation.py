"""The text ``Genotype(normal=[...], ...)`` of the DARTS code, read without evaluating it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nas_plugins.errors import InvalidArchitectureError, unknown_name
from nas_plugins.spaces.darts_cell import NODES, NONE, OPERATIONS, cell_row

Pairs: TypeAlias = tuple[tuple[str, int], ...]

_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
_CONCAT = list(NODES)
_MAX_LENGTH = 10_000
_SHAPE = (
    "a DARTS genotype reads Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6),"
    " reduce=[...], reduce_concat=range(2, 6))"
)


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell in the notation of DARTS.

    Attributes:
        normal: Eight pairs (operation, input): two per intermediate node 2 to 5; inputs 0 and 1
            are the outputs of the last but one and of the last cell.
        reduce: The same for the reduction cell.
    """

    normal: Pairs
    reduce: Pairs

    def __str__(self) -> str:
        return (
            f"Genotype(normal={list(self.normal)}, normal_concat=range(2, 6), "
            f"reduce={list(self.reduce)}, reduce_concat=range(2, 6))"
        )


def parse_cells(text: str, operations: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Reads the choices of the normal and the reduction cell, 11 each.

    Args:
        text: A genotype, or NASLib's compact form, two lists of eight pairs (input, operation
            index) with the indices of `OPERATIONS`.
        operations: Names of the space's operations in index order.

    Raises:
        InvalidArchitectureError: The text is neither.
    """
    if len(text) > _MAX_LENGTH:
        raise InvalidArchitectureError(f"{_SHAPE}, got {len(text)} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidArchitectureError(f"{_SHAPE}, got {_short(text)}") from error
    if isinstance(tree, (ast.List, ast.Tuple)):
        return compact_cells(_literal(tree, "the compact form", text), operations)
    if not isinstance(tree, ast.Call) or tree.args or _function(tree) != "Genotype":
        raise InvalidArchitectureError(f"{_SHAPE}, got {_short(text)}")
    fields = _fields(tree, text)
    for name in ("normal_concat", "reduce_concat"):
        _check_concat(name, fields[name], text)
    normal, reduce = (
        _cell(name, _literal(fields[name], f"`{name}`", text), operations)
        for name in ("normal", "reduce")
    )
    return normal, reduce


def compact_cells(cells: Any, operations: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Reads NASLib's compact form: two cells of eight pairs (input, operation index).

    Raises:
        InvalidArchitectureError: `cells` has another form or an index out of range.
    """
    if not _is_sequence(cells) or len(cells) != 2:
        raise InvalidArchitectureError(
            "the compact form holds two cells, each of 8 pairs (input, operation index), "
            f"got {_short(repr(cells))}"
        )
    rows = []
    for name, cell in zip(("normal", "reduce"), cells, strict=True):
        pairs = _pairs(name, cell)
        for _, index in pairs:
            if not _is_integer(index) or not 0 <= index < len(OPERATIONS):
                raise InvalidArchitectureError(
                    f"an operation index of `{name}` lies in 0..{len(OPERATIONS) - 1}, "
                    f"got {index!r}"
                )
        rows.append(_cell(name, [(OPERATIONS[o], source) for source, o in pairs], operations))
    return rows[0], rows[1]


def _function(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _fields(call: ast.Call, text: str) -> dict[str, ast.expr]:
    fields: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg not in _FIELDS:
            hint = unknown_name("field", str(keyword.arg), _FIELDS)
            raise InvalidArchitectureError(f"{hint} (in {_short(text)})")
        fields[keyword.arg] = keyword.value
    missing = [name for name in _FIELDS if name not in fields]
    if missing:
        raise InvalidArchitectureError(f"the genotype lacks {missing} in {_short(text)}")
    return fields


def _check_concat(name: str, node: ast.expr, text: str) -> None:
    if isinstance(node, ast.Call) and _function(node) == "range" and not node.keywords:
        bounds = [_literal(argument, f"`{name}`", text) for argument in node.args]
        matches = bounds in ([2, 6], [2, 6, 1])
    else:
        value = _literal(node, f"`{name}`", text)
        matches = _is_sequence(value) and list(value) == _CONCAT
    if not matches:
        raise InvalidArchitectureError(
            f"`{name}` must be range(2, 6) or [2, 3, 4, 5], got {_short(ast.unparse(node))}"
        )


def _cell(name: str, cell: Any, operations: tuple[str, ...]) -> list[int]:
    pairs = _pairs(name, cell)
    inputs, chosen = [], []
    for position, node in enumerate(NODES):
        both = pairs[2 * position : 2 * position + 2]
        for operation, source in both:
            _check_operation(name, node, operation, operations)
            if not _is_integer(source) or not 0 <= source < node:
                raise InvalidArchitectureError(
                    f"node {node} of `{name}` takes inputs 0..{node - 1}, got {source!r}"
                )
        (first, a), (second, b) = both
        if a == b:
            raise InvalidArchitectureError(
                f"node {node} of `{name}` must take two different inputs, got {a} twice"
            )
        inputs.append((a, b))
        chosen.append((operations.index(first), operations.index(second)))
    return cell_row(inputs, chosen)


def _check_operation(name: str, node: int, operation: Any, known: tuple[str, ...]) -> None:
    if isinstance(operation, str) and operation in known:
        return
    if operation == NONE:
        raise InvalidArchitectureError(
            f"node {node} of `{name}` has operation 'none', which this space leaves out "
            "(build it with with_none=True)"
        )
    hint = unknown_name("operation", str(operation), known)
    raise InvalidArchitectureError(f"node {node} of `{name}`: {hint}")


def _pairs(name: str, cell: Any) -> list[tuple[Any, Any]]:
    expected = 2 * len(NODES)
    if not _is_sequence(cell) or len(cell) != expected:
        size = f"{len(cell)} entries" if _is_sequence(cell) else _short(repr(cell))
        raise InvalidArchitectureError(f"`{name}` must hold {expected} pairs, got {size}")
    for pair in cell:
        if not _is_sequence(pair) or len(pair) != 2:
            raise InvalidArchitectureError(
                f"`{name}` must hold pairs of an operation and an input, got {_short(repr(pair))}"
            )
    return [(pair[0], pair[1]) for pair in cell]


def _literal(node: ast.expr, what: str, text: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise InvalidArchitectureError(
            f"{what} must be written out as lists, tuples, names and numbers in {_short(text)}"
        ) from error


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
