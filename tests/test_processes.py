"""Processes of the tests end with the run of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import exec_and_stop_with_parent

ROOT = Path(__file__).resolve().parent.parent
SECONDS_MAX = 30
PROGRAM = """
import time
from tests import test_processes
from tests.processes import forked

forked.set_forkserver_preload([])
child = forked.Process(target=test_processes.{target})
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def sleep() -> None:
    time.sleep(600)


def become_another_program() -> None:
    exec_and_stop_with_parent("/bin/sleep", "600")


@pytest.mark.parametrize("target", [sleep, become_another_program])
def test_a_process_ends_with_the_killed_one_that_started_it(target: object) -> None:
    program = PROGRAM.format(target=getattr(target, "__name__", ""))
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    give_up_at = time.monotonic() + SECONDS_MAX
    try:
        while is_running(child):
            assert time.monotonic() < give_up_at, f"{child} is left"
            time.sleep(0.05)
    finally:
        if is_running(child):
            os.kill(child, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Return whether a process is there and is no zombie."""
    try:
        status = Path("/proc", str(pid), "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
