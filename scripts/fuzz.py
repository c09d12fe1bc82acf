"""Reads mutated files of every kind that the package reads, in processes of their own.

    python scripts/fuzz.py --files 2000 --seed 0
    python scripts/fuzz.py --kinds result recording --files 50

A refusal by an error of the package is right, and so is a file that is read all the same. Any
other exception is an escape; a process that ends by a signal, or takes more than ten seconds over
a file, is one too. The exit status is 1 where there was any.
"""

from __future__ import annotations

import argparse
import logging
import queue
import re
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _fuzzing import models, searches, tables

from nas_plugins.errors import NasPluginsError

HANG_S = 10.0
_START_S = 120.0
_WORDS = (b"NaN", b"1e999", b"-1", b"1000000000", b"null", b'"\xed\xa0\x80"', b"[]", b"{}", b"")
_SHARES = (0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.15, 0.15, 0.15)
_LENGTHS = (0, 1, 2**16, 2**31 - 1, 2**63 - 1)


KINDS = {**searches.KINDS, **tables.KINDS, **models.KINDS}


# -- one process -------------------------------------------------------------------------------


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to three changes, some of bytes and some of words and numbers."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        # Half of the changes near the beginning, where headers are.
        reach = len(changed) if rng.random() < 0.5 else min(len(changed), 1000)
        place = int(rng.integers(reach)) if reach else 0
        kind = int(rng.choice(9, p=_SHARES))
        if kind == 0:
            changed[place : place + 1] = rng.bytes(1)
        elif kind == 1:
            del changed[place : place + int(rng.integers(1, 50))]
        elif kind == 2:
            changed[place:place] = changed[place : place + int(rng.integers(1, 50))]
        elif kind == 3:
            del changed[place:]
        elif kind == 4:
            changed[place : place + 8] = int(rng.choice(_LENGTHS)).to_bytes(8, "little")
        elif kind == 5:
            changed[place:place] = b"[" * int(rng.choice([3, 2000]))
        else:
            words = list(re.finditer(rb'-?\d+\.?\d*|"[^"]{0,40}"|true|null', changed[:100_000]))
            if words:
                word = words[rng.integers(len(words))]
                changed[word.start() : word.end()] = _WORDS[rng.integers(len(_WORDS))]
    return bytes(changed)


def outcome(read: Callable[[Path], object], file: Path) -> str:
    """``"read"``, ``"refused"``, or the name of what else was raised."""
    try:
        read(file)
    except NasPluginsError:
        return "refused"
    except BaseException as error:
        traceback.print_exc()
        return f"escape {type(error).__name__}"
    return "read"


def work(name: str, first: int, last: int, seed: int) -> None:
    """Reads the files `first` to `last` of a kind; prints number and outcome of each."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    kind = KINDS[name]
    sample = kind.sample()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.write_bytes(kind.seal(sample))
        sound = outcome(kind.read, file)
        print("sound", sound, flush=True)
        for number in range(first, last):
            rng = np.random.default_rng([seed, list(KINDS).index(name), number])
            if rng.random() < 0.8:
                file.write_bytes(kind.seal(mutated(sample, rng)))
            else:
                file.write_bytes(mutated(kind.seal(sample), rng))
            print(number, outcome(kind.read, file), flush=True)


# -- all of them -------------------------------------------------------------------------------


def fuzz(name: str, files: int, seed: int) -> Counter[str]:
    """Outcomes of so many files, with ``"signal"`` and ``"hang"`` where a process did not live."""
    counts: Counter[str] = Counter()
    number = 0
    while number < files:
        begun, number = number, _watched(name, number, files, seed, counts)
        if number == begun:  # before the first file: no other would go better
            counts["escape at the start"] += 1
            break
    return counts


def _watched(name: str, first: int, files: int, seed: int, counts: Counter[str]) -> int:
    """Counts what one process says, and how it ended; returns the file that is next."""
    words = [sys.executable, __file__, "--work", name, str(first), str(files)]
    process = subprocess.Popen([*words, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    stream = process.stdout

    def listen() -> None:
        for line in stream:
            lines.put(line)
        lines.put("")

    threading.Thread(target=listen, daemon=True).start()
    number, limit = first, _START_S
    while True:
        try:
            line = lines.get(timeout=limit)
        except queue.Empty:
            process.kill()
            process.wait()
            counts["hang"] += 1
            return number + 1
        if not line:
            break
        head, _, said = line.strip().partition(" ")
        limit = HANG_S
        if head == "sound":
            counts["not sound"] += said != "read"
            continue
        counts[said] += 1
        number = int(head) + 1
    if process.wait() < 0:
        counts["signal"] += 1
        print(f"{name}: file {number} of seed {seed} ended by a signal", file=sys.stderr)
        return number + 1
    return number


def main() -> int:
    """Prints a line per kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work[0], int(given.work[1]), int(given.work[2]), given.seed)
        return 0
    print(
        f"{'kind':22}{'files':>7}{'refused':>9}{'read':>7}{'escapes':>9}{'signals':>9}{'hangs':>7}"
    )
    bad = 0
    for name in given.kinds:
        counts = fuzz(name, given.files, given.seed)
        escapes = sum(n for said, n in counts.items() if said.startswith("escape"))
        bad += escapes + counts["signal"] + counts["hang"]
        print(
            f"{name:22}{given.files:7}{counts['refused']:9}{counts['read']:7}{escapes:9}"
            f"{counts['signal']:9}{counts['hang']:7}",
            flush=True,
        )
        for said, n in counts.items():
            if said.startswith("escape"):
                print(f"    {n} x {said}")
        if counts["not sound"]:
            print("    the file was refused before it was changed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
