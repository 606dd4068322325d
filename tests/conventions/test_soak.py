"""The soak runs in full what the check bounds."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from tests.conftest import FOLDERS_IN_TURN
from tests.conventions.files import ROOT, texts
from tools.soak import PROOFS

BOUNDED = re.compile(r"CREDITAPP_SOAK|import .*\bSOAK\b|mark\.whole|mark\.in_turn")
"""Marks of a test file that does less in the check."""


def bounded_files() -> set[str]:
    """Return the test files of which the check leaves something out."""
    tests = {
        name: text
        for name, text in texts(".py").items()
        if re.match(r"tests/(?!conventions/).*\btest_\w+\.py$", name)
    }
    return {
        name
        for name, text in tests.items()
        if BOUNDED.search(text) or PurePosixPath(name).parent.name in FOLDERS_IN_TURN
    }


def proofs_of(name: str) -> list[str]:
    """Return the proofs of the soak that run a file."""
    return [
        proof
        for proof, paths in PROOFS.items()
        if any(PurePosixPath(name).is_relative_to(path) for path in paths)
    ]


def test_the_soak_runs_what_the_check_bounds_once() -> None:
    found = bounded_files()
    assert len(found) > 50, "the pattern finds them"
    times = {name: proofs_of(name) for name in found}
    assert {name: proofs for name, proofs in times.items() if len(proofs) != 1} == {}


def test_every_path_of_the_soak_is_there() -> None:
    paths = [path for paths in PROOFS.values() for path in paths]
    assert [path for path in paths if not (ROOT / path).exists()] == []
