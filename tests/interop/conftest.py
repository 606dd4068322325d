"""Programs of Node that use clients which are not ours; their packages are in package.json."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api_server import ApiServer, running
from tests.databases import lacking

FOLDER = Path(__file__).parent
SECONDS_MAX = 60
NPM_FLAGS = ("--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts")

RunNode = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.fixture(scope="session")
def node() -> RunNode:
    """Return a function that runs a program of this folder and returns what it prints.

    ``node("openai.mjs", address, API_KEY="cak_...")``: arguments, and variables of the environment.
    A program that fails fails the test with its output.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        lacking("Node", "apt-get install nodejs npm (20 or newer)")
    _install()
    return _run


def _install() -> None:
    """Install the packages of the lock file unless exactly those are there already."""
    lock, stamp = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".installed"
    with (FOLDER / ".install-lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # one of the test processes installs
        if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
            return
        ended = subprocess.run(
            ["npm", "ci", *NPM_FLAGS], cwd=FOLDER, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
        stamp.write_bytes(lock.read_bytes())


def _run(program: str, *arguments: str, **environ: str) -> str:
    path = shutil.which("node")
    assert path is not None
    ended = subprocess.run(
        [path, program, *arguments],
        cwd=FOLDER,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "NODE_NO_WARNINGS": "1", **environ},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ended.returncode == 0, f"{program}: {ended.stdout}\n{ended.stderr}"
    return ended.stdout
