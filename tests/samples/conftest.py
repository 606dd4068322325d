"""A real server with an operator's key, and programs that are run as the documentation has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
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
ONE_AFTER_ANOTHER = """
import { format } from "node:util";

const ended = [];
for (const sample of process.argv.slice(2)) {
  let out = "";
  console.log = (...words) => { out += format(...words) + "\\n"; };
  try {
    await import(sample);
    ended.push([0, out, ""]);
  } catch (error) {
    ended.push([1, out, String(error.stack)]);
  }
}
process.stdout.write(JSON.stringify(ended));
"""
"""Runs modules in one Node; prints the status, output and error of each."""
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
        return ["node", self._module(text)]

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

    def run_modules(self, texts: Sequence[str]) -> list[subprocess.CompletedProcess[str]]:
        """Run samples of JavaScript in one Node, which takes as long to start as they to run."""
        names = [f"./{self._module(text)}" for text in texts]
        command = ["node", self._module(ONE_AFTER_ANOTHER), *names]
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX * 5,
        )
        assert ran.returncode == 0, ran.stderr
        ended = zip(names, json.loads(ran.stdout), strict=True)
        return [subprocess.CompletedProcess(name, *each) for name, each in ended]

    def _module(self, text: str) -> str:
        program = self.folder / f"{uuid4()}.mjs"
        program.write_text(text)
        return program.name


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
