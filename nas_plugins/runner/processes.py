"""Which process works on a trial, and whether that process is still alive.

A killed process leaves its trial in state RUNNING. Every trial carries a mark of its process,
so that a later run can tell a trial nobody works on from one of another live worker.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_LONGEST_PID = 9
"""Digits of a process's number; more of them fit into no system call."""


class Life(Enum):
    """What can be said about the process behind a mark."""

    LIVE = "live"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Owner:
    """A process, told apart from every other one that may write to the same storage.

    Attributes:
        machine: Host name and process namespace: process numbers mean something only there.
        pid: Process number.
        birth: Start time of the process as the system counts it, since numbers are reused;
            empty where the system does not tell.
    """

    machine: str
    pid: int
    birth: str

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Owner:
        """A process of this machine that has just been started."""
        return cls(_machine(), pid, _birth(pid))

    def __str__(self) -> str:
        return f"{self.machine} {self.pid} {self.birth}"

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Reads a mark; ``None`` when it is not one."""
        parts = str(text).split(" ")
        if len(parts) != 3 or not parts[1].isdecimal() or len(parts[1]) > _LONGEST_PID:
            return None
        return cls(parts[0], int(parts[1]), parts[2])

    @property
    def life(self) -> Life:
        """Whether the process runs; unknown when it is of another machine or system."""
        if self.machine != _machine() or os.name != "posix":
            return Life.UNKNOWN
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return Life.DEAD
        except OSError:  # it runs, under another user
            pass
        return Life.LIVE if _birth(self.pid) == self.birth else Life.DEAD


def _machine() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{platform.node()}/{namespace}".replace(" ", "_")


def _birth(pid: int) -> str:
    """Start time in clock ticks; a process that only waits to be reaped has none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold anything
    return "ended" if fields[0] in "ZX" else fields[19]
