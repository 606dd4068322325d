"""A real server with an operator's key, and programs that are run as the documentation has them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from tests.api_server import PASSWORD, ApiServer, running
from tests.conventions.files import ROOT
from tests.databases import lacking

ADMIN_KEY = "operator-of-the-samples"
SECONDS_MAX = 60
CURLRC = 'silent\nshow-error\nwrite-out = "\\n%{http_code}"\n'
MODULES = ROOT / "tests" / "interop" / "node_modules"


class Programs:
    """Runs samples in a folder of their own, with the address and the keys in the environment."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        (folder / ".curlrc").write_text(CURLRC)
        kept = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        client = ROOT / "clients" / "python" / "src"
        self.environ = {**kept, "PYTHONPATH": str(client), "NODE_NO_WARNINGS": "1", **environ}
        if MODULES.exists():
            (folder / "node_modules").symlink_to(MODULES)

    def command(self, language: str, text: str) -> list[str]:
        """Return the command that runs a sample."""
        match language:
            case "curl":
                return ["sh", "-ec", text]
            case "python":
                return [sys.executable, "-c", text]
        program = self.folder / f"{uuid4()}.mjs"
        program.write_text(text)
        return ["node", program.name]

    def run(self, language: str, text: str) -> subprocess.CompletedProcess[str]:
        """Run a sample to its end."""
        return subprocess.run(
            self.command(language, text),
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            errors="replace",  # a file is no text
            timeout=SECONDS_MAX,
        )


def require(program: str) -> None:
    """Skip, or fail in the check, without a program of the machine."""
    if not any(Path(folder, program).exists() for folder in os.environ["PATH"].split(":")):
        lacking(program, f"apt-get install {'nodejs' if program == 'node' else program}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running(tmp_path_factory.mktemp("demo"), {"ADMIN_API_KEY": ADMIN_KEY}) as started:
        yield started


@pytest.fixture(scope="module")
def browser(server: ApiServer) -> Iterator[httpx2.Client]:
    """A browser in which a member is logged in."""
    with closing(server.sign_up()) as opened:
        yield opened


__all__ = ["ADMIN_KEY", "PASSWORD", "Programs", "browser", "require", "server"]
