"""The layers of ``pyproject.toml`` are checked by import-linter, and a planted mistake is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conventions.files import ROOT


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over a copy of the package."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--config", "pyproject.toml"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, to plant mistakes in."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "creditapp", tmp_path / "creditapp", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(package: Path, module: str, statement: str) -> None:
    """Add a statement to the end of a module."""
    with (package / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{statement}\n")


def test_every_import_points_down() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


def test_a_planted_circle_is_found(package: Path) -> None:
    plant(package, "creditapp/ledger/queries.py", "import creditapp.payments.refunds")
    result = lint(package)
    assert result.returncode == 1
    assert "creditapp.ledger is not allowed to import creditapp.payments" in result.stdout


def test_a_planted_circle_under_type_checking_is_found(package: Path) -> None:
    circle = "import typing\nif typing.TYPE_CHECKING:\n    import creditapp.web.studio"
    plant(package, "creditapp/generation/funding.py", circle)
    result = lint(package)
    assert result.returncode == 1
    assert "creditapp.generation is not allowed to import creditapp.web" in result.stdout


def test_two_packages_of_one_layer_never_import_each_other(package: Path) -> None:
    plant(package, "creditapp/api/prices.py", "import creditapp.web.credits")
    result = lint(package)
    assert result.returncode == 1
    assert "creditapp.api is not allowed to import creditapp.web" in result.stdout
