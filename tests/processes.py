"""Processes of the tests, forked from one that has imported the app.

A new interpreter takes two seconds to import it; the browser tests start some. Each ends with the
process that started it: a killed run of the tests leaves no server behind.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_STOP_SECONDS = 10.0


class _Process(ForkServerProcess):
    """A process that stops when the one that started it has ended, however that was."""

    def run(self) -> None:
        threading.Thread(target=_stop_with_parent, name="stop-with-parent", daemon=True).start()
        super().run()


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)  # a server stops its workers
    time.sleep(_STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def exec_and_stop_with_parent(*command: str) -> None:
    """Become another program, which keeps no thread: the kernel ends it with the fork server.

    The fork server ends once nobody is left who could ask it for processes: no open file is kept,
    of which one is that leave to ask.
    """
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execv(command[0], command)


class _Context(ForkServerContext):
    Process = _Process


forked = _Context()
forked.set_forkserver_preload(
    [
        "pytest",
        "dbos",
        "openai",
        "flask_migrate",
        "granian.server",
        "creditapp.api",
        "creditapp.cli",
        "creditapp.web",
        "tests.app_factory",
        "tests.processes",
        "tests.faults.jobs_worker",
        "tests.faults.generation_worker",
    ]
)

SECONDS_MAX = 200
USUAL_MASK = 0o022
"""The mask of a shell, by which others could read what a process makes."""


def run_command(*words: str, environ: dict[str, str]) -> CompletedProcess[str]:
    """Run ``./run`` with these words and this environment alone; return status, output, errors."""
    with tempfile.TemporaryDirectory() as folder:
        process = start_command(*words, environ=environ, folder=Path(folder))
        process.join(SECONDS_MAX)
        assert not process.is_alive(), f"{words} takes too long"
        status = process.exitcode
        assert status is not None
        out, error = (Path(folder, name).read_text() for name in ("out", "error"))
        return CompletedProcess(words, status, out, error)


def start_command(*words: str, environ: dict[str, str], folder: Path) -> ForkServerProcess:
    """Start ``./run`` with these words; what it prints goes to ``out`` and ``error`` there."""
    process = forked.Process(target=_run, args=(words, environ, folder / "out", folder / "error"))
    process.start()
    return process


def _run(words: tuple[str, ...], environ: dict[str, str], out: Path, error: Path) -> None:
    for path, number in ((out, 1), (error, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.umask(USUAL_MASK)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept | environ)
    # As in a new interpreter: the server forks its workers, which then need not import the app.
    multiprocessing.set_start_method("fork", force=True)
    if "CREDITAPP_WEB_PROCESSES" in environ:
        # The library of the metrics reads at its import whether processes share them.
        exec_and_stop_with_parent(sys.executable, "-m", "creditapp", *words)
    sys.argv = ["creditapp", *words]
    from creditapp.cli import main
    from creditapp.generation.providers.offline import draw, video
    from tests.app_factory import plain_png, plain_shot

    # A drawn scene takes a server as long as ten requests, a video of one as long as forty.
    draw.draw_png = plain_png
    video._shot = plain_shot
    if Pictures.FOLDER in environ:
        draw.draw_png = Pictures(Path(environ[Pictures.FOLDER])).waiting(plain_png)
    main()


class Pictures:
    """Says when a server draws: a test that looks on decides what there is to see."""

    FOLDER = "TEST_PICTURES"
    """The environment of a server names the folder by which it is told."""

    def __init__(self, folder: Path) -> None:
        self._held, self._next = folder / "held", folder / "next"

    def hold(self) -> None:
        """Let the server draw nothing more."""
        self._held.touch()

    def let_one_be_drawn(self) -> None:
        """Let it draw one picture and wait again."""
        self._next.touch()

    def release(self) -> None:
        """Let it draw as fast as it can."""
        self._held.unlink(missing_ok=True)

    def waiting(self, draw: Callable[..., bytes]) -> Callable[..., bytes]:
        """Return ``draw``, to be called in the server: it waits for its turn."""

        def draw_in_turn(*args: Any, **kwargs: Any) -> bytes:
            while self._held.exists() and not self._take_turn():
                time.sleep(0.02)
            return draw(*args, **kwargs)

        return draw_in_turn

    def _take_turn(self) -> bool:
        try:
            self._next.unlink()
        except FileNotFoundError:
            return False
        return True
