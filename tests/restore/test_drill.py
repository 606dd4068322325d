"""The drill: back up while people use the app, restore elsewhere, and check all of it there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.databases import new_database
from tests.processes import forked, run_command
from tests.restore.load import ACTIONS, stacks_of, use

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"
TURNS = 400 if SOAK else 2
"""How often each action ended before the backup."""

SECRET_KEY = "a key that only the tests know, long enough"
TIMEOUT_SECONDS = 600 if SOAK else 60


@contextmanager
def used(environ: dict[str, str], counts: Path) -> Iterator[Callable[[], bool]]:
    """Run an app that is used all the time; yield whether it still is."""
    process = forked.Process(target=use, args=(environ, counts))
    process.start()
    try:
        yield process.is_alive
        assert process.is_alive(), "the load ended by itself"
    finally:
        process.terminate()
        process.join(TIMEOUT_SECONDS)  # an action may wait half a minute for its image
    assert process.exitcode == 0, stacks_of(counts).read_text()


def turns(counts: Path) -> dict[str, int]:
    """Return how often each action has ended."""
    return json.loads(counts.read_text()) if counts.exists() else {}


def wait_for(counts: Path, least: int, is_used: Callable[[], bool]) -> None:
    """Wait until each action ended as often."""
    give_up_at = time.monotonic() + TIMEOUT_SECONDS
    while len(ended := turns(counts)) < len(ACTIONS) or min(ended.values()) < least:
        assert is_used(), "an action failed"
        assert time.monotonic() < give_up_at, f"{ended} of {least} each"
        time.sleep(0.02)


@pytest.mark.databases("sqlite", "postgresql")
def test_a_backup_made_under_load_is_whole_elsewhere(
    database_url: str, database_kind: str, tmp_path: Path
) -> None:
    environ = {
        "DATABASE_URL": database_url,
        "CREDITAPP_DATA": str(tmp_path / "data"),
        "CREDITAPP_LOG_LEVEL": "error",
        "SECRET_KEY": SECRET_KEY,
    }
    counts, meanwhile = tmp_path / "counts", 0
    with used(environ, counts) as is_used:
        wait_for(counts, TURNS, is_used)
        for number in range(10):  # a small SQLite file may be copied between two actions
            folder, before = tmp_path / f"backup{number}", turns(counts)
            made = run_command("backup", str(folder), "--json", environ=environ)
            assert made.returncode == 0, made.stdout + made.stderr
            meanwhile = sum(turns(counts).values()) - sum(before.values())
            if meanwhile:
                break
    assert meanwhile, "nobody used the app during the backup"
    (tmp_path / "elsewhere").mkdir()
    with new_database(database_kind, tmp_path / "elsewhere") as other_url:
        other = {**environ, "DATABASE_URL": other_url, "CREDITAPP_DATA": str(tmp_path / "other")}
        restored = run_command("restore", str(folder), "--json", environ=other)
        assert restored.returncode == 0, restored.stdout + restored.stderr
        assert restored.stderr == ""
        figures = json.loads(restored.stdout)
        assert figures["ledgerWhole"] is True
        assert figures["imagesMissing"] == 0
        assert (figures["rows"], figures["files"]) == (
            json.loads(made.stdout)["rows"],
            json.loads(made.stdout)["files"],
        )
        proof = run_command("proof", "--seals", "--json", environ=other)
        assert proof.returncode == 0, proof.stdout + proof.stderr
        checked = {each["name"]: each["checked"] for each in json.loads(proof.stdout)["invariants"]}
        assert checked["seals"] > 0, "the backup has no seal"
        reconciled = run_command("reconcile", "--json", environ=other)
        assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
        compared = json.loads(reconciled.stdout)["compared"]
        assert compared["grantedPurchases"] > 0
    print(
        f"\n{database_kind}: {figures['rows']} rows, {figures['files']} files, "
        f"{figures['bytes'] / 1e6:.1f} MB, {checked['seals']} seals; backed up in "
        f"{json.loads(made.stdout)['seconds']} s with {meanwhile} actions meanwhile, restored in "
        f"{figures['seconds']} s"
    )
