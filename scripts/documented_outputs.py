"""Makes the outputs in docs/cli.md anew, so that they are what the commands print.

python scripts/documented_outputs.py [--check] [FILE ...]

A block is made anew if this comment stands on the line before it:

    <!-- made by scripts/documented_outputs.py -->

Its first lines, up to the first without a backslash at its end, are the command; what follows is
what it prints, the standard error stream before the standard output stream. Times, rates and the
lines of progress but the last differ from run to run, and a slow machine says what it does in a
long silence: a block that differs in these only is left.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MARK = "<!-- made by scripts/documented_outputs.py -->"
FILES = (Path(__file__).resolve().parents[1] / "docs" / "cli.md",)

_BLOCK = re.compile(
    re.escape(MARK) + r"\n```console\n(?P<command>\$ (?:[^\n]*\\\n)*[^\n]*\n)(?P<output>.*?)```",
    re.DOTALL,
)
_SILENCE = re.compile(r"^.* \u00b7 \d+:\d\d:\d\d\n", re.M)
_PROGRESS = re.compile(r"^\d+/\d+ \w+ ·.*\n(?=\d+/\d+ \w+ ·)", re.MULTILINE)
_VOLATILE = re.compile(r"\d[\d.,:]* ?(s\b|ms\b|minutes\b|MB\b|[a-z]*/s\b)")


class Block(NamedTuple):
    """A command in a text and what the text says that it prints."""

    command: str
    output: str

    @property
    def words(self) -> str:
        """The command as a shell takes it."""
        return self.command.removeprefix("$ ").replace("\\\n", " ").strip()


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a text that are made anew."""
    for match in _BLOCK.finditer(text):
        yield Block(match["command"], match["output"])


def printed(words: str) -> str:
    """What a command prints in an empty folder, without a terminal and with pip's tables alone."""
    program = f"{sys.executable} -m nas_plugins"
    plain = {name: value for name, value in os.environ.items() if name != "NAS_PLUGINS_DATA"}
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            re.sub(r"\bnas-plugins (?=\w)", f"{program} ", words),
            shell=True,
            cwd=folder,
            env={**plain, "NAS_PLUGINS_CACHE": str(Path(folder, ".cache"))},
            capture_output=True,
            text=True,
            check=False,
        )
    lines = (ran.stderr + ran.stdout).splitlines()
    return "\n".join(map(str.rstrip, lines)).strip("\n") + "\n"


def _without_progress(text: str) -> str:
    return _SILENCE.sub("", _PROGRESS.sub("", text))


def same(one: str, other: str) -> bool:
    """Whether two outputs differ in times and progress at most."""
    first, second = (_VOLATILE.sub("<time>", _without_progress(text)) for text in (one, other))
    return first == second


def renewed(text: str) -> str:
    """The text with the outputs that its commands print now."""

    def block(match: re.Match[str]) -> str:
        found = Block(match["command"], match["output"])
        now = printed(found.words)
        if same(found.output, now):
            return match[0]
        return f"{MARK}\n```console\n{found.command}{_without_progress(now)}```"

    return _BLOCK.sub(block, text)


def main() -> int:
    """Writes the files anew, or says which are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=FILES)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if one is stale")
    given = parser.parse_args()
    stale = False
    for file in given.files:
        text = file.read_text(encoding="utf-8")
        now = renewed(text)
        if now == text:
            continue
        stale = True
        print(f"{file} is {'stale' if given.check else 'written anew'}")
        if not given.check:
            file.write_text(now, encoding="utf-8")
    return int(stale and given.check)


if __name__ == "__main__":
    sys.exit(main())
