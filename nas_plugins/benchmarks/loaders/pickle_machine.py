"""A reader of pickles that knows the opcodes of plain values only.

The opcodes are those of `pickle`, whose comments in ``pickletools`` describe each.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any

from nas_plugins.benchmarks.loaders.pickle_arrays import (
    ALLOWED,
    AllowedGlobal,
    PendingArray,
    PendingDataType,
    key,
)


class Machine:
    """The stack and memory of one pickle while it is read.

    Args:
        data: The pickle.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self._marks: list[int] = []

    def run(self, most_steps: int) -> Any:
        """Reads to the end; returns the value.

        Raises:
            Exception: Anything that the bytes happen to mean.
        """
        data, table = self.data, _TABLE
        for _ in range(most_steps):
            code = data[self.position]
            self.position += 1
            if code == _STOP:
                return self.stack.pop()
            step = table[code]
            if step is None:
                raise pickle.UnpicklingError(f"it has the opcode {chr(code)!r}")
            step(self)
        raise pickle.UnpicklingError(f"it has more than {most_steps:,} opcodes")

    def take(self, length: int) -> bytes:
        """The next bytes."""
        start = self.position
        found = self.data[start : start + length]
        if length < 0 or len(found) < length:
            raise EOFError("it ends too early")
        self.position = start + length
        return found

    def number(self, form: struct.Struct) -> Any:
        """The next number."""
        found = form.unpack_from(self.data, self.position)[0]
        self.position += form.size
        return found

    def line(self) -> bytes:
        """The next line."""
        end = self.data.index(b"\n", self.position)
        found = self.data[self.position : end]
        self.position = end + 1
        return found

    def mark(self) -> None:
        """Begins a group of values."""
        self._marks.append(len(self.stack))

    def group(self) -> list[Any]:
        """Takes the values behind the last mark."""
        start = self._marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def remember(self, index: int) -> None:
        """Keeps what is on top."""
        self.memo[index] = self.stack[-1]

    def remember_next(self) -> None:
        """Keeps what is on top under the next number."""
        self.memo[len(self.memo)] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Puts on top what was kept; an array that has its content by now as such."""
        found = self.memo[index]
        if isinstance(found, PendingArray) and found.value is not None:
            found = found.value
        self.stack.append(found)


Step = Callable[[Machine], None]

_STOP = pickle.STOP[0]
_BYTE, _SHORT, _UNSIGNED, _LONG = (struct.Struct(f) for f in ("<B", "<H", "<I", "<Q"))
_SIGNED, _FLOAT = struct.Struct("<i"), struct.Struct(">d")


def _pushes(value: Any) -> Step:
    return lambda machine: machine.stack.append(value)


def _makes(kind: type) -> Step:
    return lambda machine: machine.stack.append(kind())


def _reads(form: struct.Struct) -> Step:
    unpack, size = form.unpack_from, form.size

    def step(machine: Machine) -> None:
        # Not by `number`: most opcodes of a table are numbers.
        machine.stack.extend(unpack(machine.data, machine.position))
        machine.position += size

    return step


def _takes(form: struct.Struct, made: Callable[[bytes], Any]) -> Step:
    """Pushes what so many bytes mean as a number says."""

    def step(machine: Machine) -> None:
        machine.stack.append(made(machine.take(machine.number(form))))

    return step


def _parses(made: Callable[[bytes], Any]) -> Step:
    return lambda machine: machine.stack.append(made(machine.line()))


def _text(data: bytes) -> str:
    return str(data, "utf-8", "surrogatepass")


def _ascii(data: bytes) -> str:
    return str(data, "ascii")


def _integer(line: bytes) -> int | bool:
    return line == b"01" if line in (b"00", b"01") else int(line)


def _long(line: bytes) -> int:
    return int(line.removesuffix(b"L"))


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _quoted(line: bytes) -> str:
    if len(line) < 2 or line[0] != line[-1] or line[0] not in b"'\"":
        raise pickle.UnpicklingError("it has a text without quotes")
    return line[1:-1].decode("unicode_escape").encode("ascii").decode()


def _raw(line: bytes) -> str:
    return line.decode("raw_unicode_escape")


def _drop(machine: Machine) -> None:
    machine.stack.pop()


def _drop_group(machine: Machine) -> None:
    machine.group()


def _double(machine: Machine) -> None:
    machine.stack.append(machine.stack[-1])


def _tuple(machine: Machine) -> None:
    machine.stack.append(tuple(machine.group()))


def _tuple_of(length: int) -> Step:
    def step(machine: Machine) -> None:
        items = machine.stack[-length:]
        if len(items) < length:
            raise IndexError("a tuple lacks items")
        machine.stack[-length:] = [tuple(items)]

    return step


def _frozen_set(machine: Machine) -> None:
    machine.stack.append(frozenset([key(item) for item in machine.group()]))


def _list(machine: Machine) -> None:
    machine.stack.append(machine.group())


def _dictionary(machine: Machine) -> None:
    items = machine.group()
    machine.stack.append({})
    _put(machine, items)


def _append(machine: Machine) -> None:
    _extend(machine, [machine.stack.pop()])


def _append_group(machine: Machine) -> None:
    _extend(machine, machine.group())


def _extend(machine: Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, list):
        raise pickle.UnpicklingError(f"it appends to {type(target).__name__}")
    target.extend(items)


def _set_item(machine: Machine) -> None:
    value, name = machine.stack.pop(), machine.stack.pop()
    _put(machine, [name, value])


def _set_group(machine: Machine) -> None:
    _put(machine, machine.group())


def _put(machine: Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, dict):
        raise pickle.UnpicklingError(f"it puts items into {type(target).__name__}")
    for name, value in zip(items[::2], items[1::2], strict=True):
        target[key(name)] = value


def _add_group(machine: Machine) -> None:
    items, target = machine.group(), machine.stack[-1]
    if not isinstance(target, set):
        raise pickle.UnpicklingError(f"it adds to {type(target).__name__}")
    target.update([key(item) for item in items])


def _remembers(form: struct.Struct) -> Step:
    return lambda machine: machine.remember(machine.number(form))


def _recalls(form: struct.Struct) -> Step:
    return lambda machine: machine.recall(machine.number(form))


def _global(module: object, name: object) -> AllowedGlobal:
    found = None
    if isinstance(module, str) and isinstance(name, str):
        found = ALLOWED.get((module, name))
    if found is None:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
    return found


def _named(machine: Machine) -> None:
    module, name = machine.line().decode(), machine.line().decode()
    machine.stack.append(_global(module, name))


def _named_by_texts(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_global(module, name))


def _call(machine: Machine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if not isinstance(function, AllowedGlobal) or function.make is None:
        raise pickle.UnpicklingError("it calls what is no function")
    if not isinstance(arguments, tuple):
        raise pickle.UnpicklingError("it calls a function without a tuple")
    machine.stack.append(function.make(*arguments))


def _build(machine: Machine) -> None:
    state, target = machine.stack.pop(), machine.stack[-1]
    if not isinstance(target, PendingArray | PendingDataType):
        raise pickle.UnpicklingError(f"it sets the state of {type(target).__name__}")
    target.build(state)
    if isinstance(target, PendingArray):
        machine.stack[-1] = target.value


def _skips(length: int) -> Step:
    """Past a header that only tells how the rest was written."""

    def step(machine: Machine) -> None:
        machine.take(length)

    return step


_STEPS: dict[bytes, Step] = {
    pickle.PROTO: _skips(1),
    pickle.FRAME: _skips(8),
    pickle.MARK: Machine.mark,
    pickle.POP: _drop,
    pickle.POP_MARK: _drop_group,
    pickle.DUP: _double,
    pickle.NONE: _pushes(None),
    pickle.NEWTRUE: _pushes(True),
    pickle.NEWFALSE: _pushes(False),
    pickle.INT: _parses(_integer),
    pickle.LONG: _parses(_long),
    pickle.FLOAT: _parses(float),
    pickle.BININT: _reads(_SIGNED),
    pickle.BININT1: _reads(_BYTE),
    pickle.BININT2: _reads(_SHORT),
    pickle.BINFLOAT: _reads(_FLOAT),
    pickle.LONG1: _takes(_BYTE, _little),
    pickle.LONG4: _takes(_SIGNED, _little),
    pickle.STRING: _parses(_quoted),
    pickle.BINSTRING: _takes(_SIGNED, _ascii),
    pickle.SHORT_BINSTRING: _takes(_BYTE, _ascii),
    pickle.UNICODE: _parses(_raw),
    pickle.BINUNICODE: _takes(_UNSIGNED, _text),
    pickle.SHORT_BINUNICODE: _takes(_BYTE, _text),
    pickle.BINUNICODE8: _takes(_LONG, _text),
    pickle.BINBYTES: _takes(_UNSIGNED, bytes),
    pickle.SHORT_BINBYTES: _takes(_BYTE, bytes),
    pickle.BINBYTES8: _takes(_LONG, bytes),
    pickle.BYTEARRAY8: _takes(_LONG, bytearray),
    pickle.EMPTY_TUPLE: _pushes(()),
    pickle.TUPLE: _tuple,
    pickle.TUPLE1: _tuple_of(1),
    pickle.TUPLE2: _tuple_of(2),
    pickle.TUPLE3: _tuple_of(3),
    pickle.EMPTY_LIST: _makes(list),
    pickle.LIST: _list,
    pickle.APPEND: _append,
    pickle.APPENDS: _append_group,
    pickle.EMPTY_DICT: _makes(dict),
    pickle.DICT: _dictionary,
    pickle.SETITEM: _set_item,
    pickle.SETITEMS: _set_group,
    pickle.EMPTY_SET: _makes(set),
    pickle.ADDITEMS: _add_group,
    pickle.FROZENSET: _frozen_set,
    pickle.PUT: lambda machine: machine.remember(int(machine.line())),
    pickle.BINPUT: _remembers(_BYTE),
    pickle.LONG_BINPUT: _remembers(_UNSIGNED),
    pickle.MEMOIZE: Machine.remember_next,
    pickle.GET: lambda machine: machine.recall(int(machine.line())),
    pickle.BINGET: _recalls(_BYTE),
    pickle.LONG_BINGET: _recalls(_UNSIGNED),
    pickle.GLOBAL: _named,
    pickle.STACK_GLOBAL: _named_by_texts,
    pickle.REDUCE: _call,
    pickle.BUILD: _build,
}
_TABLE = tuple(_STEPS.get(bytes([code])) for code in range(256))
