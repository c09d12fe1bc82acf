"""Reads mutated pickles; a refusal is right, any other exception is an escape.

    python scripts/fuzz_pickles.py 10000 --seed 0

Run it as a process of its own: a reader that follows an address from the file ends by a signal.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import traceback
from collections import Counter, OrderedDict
from typing import Any

import numpy as np

from nas_plugins.benchmarks.loaders import pickles
from nas_plugins.errors import DataError

_TYPES = (b"f8", b"O8", b"i4", b"U1", b"V8", b"S9", b"M8")
_CODES = b"".join(
    value
    for name, value in vars(pickle).items()
    if name.isupper() and isinstance(value, bytes) and len(value) == 1
)


def samples() -> list[bytes]:
    """Whole pickles of every protocol, with all that benchmarks hold."""
    value = {
        "200": {"arch_index": 0, ("cifar10", 777): [1.5, -3, None, True, b"b", {1, 2}]},
        "scalar": np.float64(0.25),
        "array": np.arange(6.0).reshape(2, 3),
        "texts": np.array(["a", "bc"]),
        "ordered": OrderedDict(a=np.arange(3, dtype=np.int8)),
    }
    objects = np.array([1, "text", None], dtype=object)
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    return [pickle.dumps(v, protocol=p) for p in protocols for v in (value, [value, objects])]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The pickle with one to four changes: bytes, opcodes, types, or a part moved or doubled."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(len(changed)))
        kind = rng.integers(6)
        if kind == 0:
            changed[place] = rng.integers(256)
        elif kind == 1:
            changed[place] = _CODES[rng.integers(len(_CODES))]
        elif kind == 2:
            changed[place:place] = _CODES[rng.integers(len(_CODES)) :][:1]
        elif kind == 3:
            old, new = (_TYPES[i] for i in rng.integers(len(_TYPES), size=2))
            changed = changed.replace(old, new)
        elif kind == 4:
            end = place + int(rng.integers(1, 20))
            there = int(rng.integers(len(changed)))
            changed[there:there] = changed[place:end]
        else:
            del changed[place : place + int(rng.integers(1, 9))]
        changed = changed or bytearray(b".")
    return bytes(changed)


def fuzz(number: int, seed: int) -> Counter[str]:
    """Reads so many mutated pickles; counts ``"read"``, ``"refused"`` and escapes by name."""
    rng = np.random.default_rng(seed)
    whole = samples()
    counts: Counter[str] = Counter()
    for _ in range(number):
        data = mutated(whole[rng.integers(len(whole))], rng)
        counts[outcome(data)] += 1
    return counts


def outcome(data: bytes) -> str:
    """``"read"``, ``"refused"``, or the name of what else was raised, which is printed."""
    try:
        value: Any = pickles.loads(data, origin="fuzz")
        repr(value)
    except DataError:
        return "refused"
    except Exception as error:
        traceback.print_exc()
        return type(error).__name__
    return "read"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = fuzz(arguments.number, arguments.seed)
    read, refused = counts.pop("read", 0), counts.pop("refused", 0)
    escapes = sum(counts.values())
    print(f"{arguments.number} mutated pickles: {escapes} escapes, {refused} refused, {read} read")
    return 1 if escapes else 0


if __name__ == "__main__":
    sys.exit(main())
