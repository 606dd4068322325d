"""The package stands alone: its wheel, its imports, and the samples of its README."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.api_server import ApiServer
from tests.conventions.files import ROOT
from tests.databases import lacking

PACKAGE = ROOT / "clients" / "python"
SOURCE = PACKAGE / "src" / "creditapp_client"
README = (PACKAGE / "README.md").read_text()
SECONDS_MAX = 100


def test_it_imports_the_standard_library_and_itself_alone() -> None:
    foreign = set()
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names = [str(node.module)]
            foreign |= {name.partition(".")[0] for name in names}
    assert foreign - sys.stdlib_module_names == {"creditapp_client"}


def test_its_modules_are_few_and_small() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in SOURCE.glob("*.py")}
    assert len(lines) <= 6
    assert max(lines.values()) <= 330, lines


def test_its_wheel_is_built_and_works_without_the_server(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        lacking("uv", "./run check installs it")
    copy = shutil.copytree(PACKAGE, tmp_path / "package")
    command = [uv, "build", "--wheel", "--offline", "--out-dir", tmp_path / "dist", copy]
    built = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        opened.extractall(tmp_path / "installed")
    assert "creditapp_client/py.typed" in names
    assert {f"creditapp_client/{path.name}" for path in SOURCE.glob("*.py")} <= names
    program = "import creditapp_client, sys; print('creditapp' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.stdout == "False\n", ended.stderr


@pytest.mark.parametrize(
    ("call", "error"),
    [("client.spend('two', 'ai-generation')", "arg-type"), ("client.receipts()", "attr-defined")],
)
def test_a_program_with_a_wrong_call_is_told_by_its_types(
    call: str, error: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    lines = ("from creditapp_client import CreditApp", "def run(client: CreditApp) -> None:")
    program.write_text("\n".join([*lines, f"    {call}\n"]))
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", program],
        env={**os.environ, "MYPYPATH": str(SOURCE.parent)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert f"[{error}]" in ended.stdout, ended.stdout + ended.stderr


def test_the_samples_of_the_readme_run_as_they_are_written(
    server: ApiServer, key: str, tmp_path: Path
) -> None:
    samples = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert len(samples) == 6
    program = tmp_path / "readme.py"
    program.write_text("\n".join(samples))
    ended = subprocess.run(
        [sys.executable, program],
        env={
            "PYTHONPATH": str(SOURCE.parent),
            "CREDITAPP_URL": server.url,
            "CREDITAPP_API_KEY": key,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ended.returncode == 0, ended.stderr
    assert "bytes for 0.5 credits" in ended.stdout
    assert "It costs 25" in ended.stdout
    assert server.balance(key) < 50 - 0.5 - 2 - 25 - 4 + 0.001
