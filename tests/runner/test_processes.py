"""Marks of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from nas_plugins.runner.processes import Life, Owner

posix = pytest.mark.skipif(os.name != "posix", reason="processes are looked up on POSIX only")


@posix
def test_this_process_lives():
    assert Owner.current().life is Life.LIVE


@posix
def test_a_reaped_and_an_unreaped_process_are_dead():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(process.pid)
    assert owner.life is Life.LIVE
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not reaped
    if owner.birth:
        assert owner.life is Life.DEAD
    process.communicate()
    assert owner.life is Life.DEAD


@posix
def test_a_number_that_was_used_again_is_another_process():
    owner = Owner.current()
    if not owner.birth:
        pytest.skip("the system does not tell when processes began")
    assert replace(owner, birth="1").life is Life.DEAD


def test_of_another_machine_nothing_is_known():
    assert replace(Owner.current(), machine="elsewhere/").life is Life.UNKNOWN


def test_round_trip_and_foreign_text():
    owner = Owner.current()
    assert Owner.parse(str(owner)) == owner
    assert Owner.parse("") is None
    assert Owner.parse("host pid 3") is None
    # No number of a process: the system call raises an OverflowError.
    assert Owner.parse(f"{owner.machine} {10**30} 3") is None
