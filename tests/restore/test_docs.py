"""The commands of ``docs/operations.md`` back up and restore, word for word."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.databases import new_database
from tests.restore.test_backup import new_demo

ROOT = Path(__file__).resolve().parents[2]


def commands() -> list[str]:
    """Return the blocks of commands of the section."""
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page[page.index("## Back up and restore") : page.index("## Rotate keys")]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def run(block: str, folder: Path, environ: dict[str, str]) -> str:
    """Run a block of commands in a folder where ``./run`` is; return what it printed."""
    script = folder / "run"
    if not script.exists():
        script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m creditapp "$@"\n')
        script.chmod(0o755)
    ended = subprocess.run(
        ["sh", "-euc", block],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_documented_commands_restore_a_demo(tmp_path: Path) -> None:
    environ = new_demo(tmp_path, f"sqlite:///{tmp_path}/data/creditapp.sqlite")
    del environ["DATABASE_URL"]
    back_up, restore, _ = commands()
    assert run(back_up, tmp_path, environ).endswith("The ledger is whole.\n")
    said = run(restore, tmp_path, environ)
    assert said.startswith("Restored ")
    assert said.count("The ledger is whole.") == 2


@pytest.mark.databases("postgresql")
def test_the_documented_commands_restore_postgresql(tmp_path: Path, database_url: str) -> None:
    with new_database("postgresql", tmp_path) as empty:
        server, name = make_url(database_url), make_url(empty).database
        environ = new_demo(tmp_path, database_url) | {"PGPORT": str(server.port)}
        back_up, _, restore = commands()
        run(back_up, tmp_path, environ)
        # The test's server, user and database instead of those of the page; the database exists.
        words = restore[restore.index("CREDITAPP_DATA") :]
        words = words.replace(
            "creditapp@127.0.0.1:5432/restored", f"postgres@127.0.0.1:{server.port}/{name}"
        )
        assert run(words, tmp_path, environ).endswith("The ledger is whole.\n")
