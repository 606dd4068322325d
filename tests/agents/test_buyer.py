"""The example program buys from a real server, and never pays more than its budget."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.api_server import ApiServer, running
from tests.conventions.files import ROOT
from tests.fakes.lying_seller import LyingSeller
from tests.pages import parse_html


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A fresh demo in a process of its own."""
    with running(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the program, far from the server's code."""
    return Path(shutil.copy(ROOT / "examples" / "buyer" / "buyer.py", tmp_path))


def buy(program: Path, host: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    return subprocess.run(
        [sys.executable, "-I", str(program), *options],
        env={"PAYWALL_HOST": host, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_buys_three_makes_two_and_has_one_left(server: ApiServer, program: Path) -> None:
    ended = buy(program, server.url)

    assert ended.returncode == 0, ended.stderr
    assert "Purchase of 3 image generation credits: 3.00 USD, by sandbox" in ended.stdout
    assert "No real money moved" in ended.stdout
    assert "1 credit is left" in ended.stdout
    images = list((program.parent / "images").iterdir())
    assert len(images) == 2
    assert {path.read_bytes()[:8] for path in images} == {b"\x89PNG\r\n\x1a\n"}
    receipt = program.parent / "receipt.txt"
    assert receipt.stat().st_mode & 0o077 == 0
    headers = {"Authorization": f"Bearer {receipt.read_text()}"}
    left = httpx2.get(f"{server.url}/api/receipts/balance", headers=headers).json()
    assert left["remaining"] == 1


def test_it_pays_nothing_above_its_budget(server: ApiServer, program: Path) -> None:
    ended = buy(program, server.url, "--count", "4")

    assert ended.returncode == 1
    assert "above the budget of 3.00 USD. Nothing was paid." in ended.stderr
    assert not (program.parent / "receipt.txt").exists()


def test_it_pays_nothing_at_another_price(server: ApiServer, program: Path) -> None:
    ended = buy(program, server.url, "--price", "0.50")

    assert ended.returncode == 1
    assert "The price should be 1.50 USD. Nothing was paid." in ended.stderr


def test_it_waits_until_a_person_has_paid_by_card(server: ApiServer, program: Path) -> None:
    running_program = subprocess.Popen(
        [sys.executable, "-I", "-u", str(program), "--rail", "stripe", "--images", "1"],
        env={"PAYWALL_HOST": server.url, "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running_program.stdout is not None
    lines = iter(running_program.stdout.readline, "")
    page = next(line for line in lines if line.startswith("Pay on this page: ")).split()[-1]
    with httpx2.Client(timeout=60) as browser:
        form = parse_html(browser.get(page).text).one("form")
        fields = {**form.fields(), "card": "succeeds", "email": "buyer@example.com"}
        paid = browser.post(page, data=fields)
    assert paid.status_code == 303, paid.text
    rest = "".join(lines)

    assert running_program.wait(60) == 0
    assert "2 credits are left" in rest


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("other_key", "signature is not valid"),
        ("no_signature", "signature is not valid"),
        ("other_issuer", "signature is not valid"),
        ("other_document", "The DID document is of"),
        ("expired", "signature is not valid"),
        ("dearer", "Nothing was paid."),
        ("other_currency", "Nothing was paid."),
        ("elsewhere", "leads to another site"),
    ],
)
def test_it_pays_no_seller_that_lies(program: Path, lie: str, reason: str) -> None:
    with LyingSeller(lie) as seller:
        ended = buy(program, seller.url)

        assert ended.returncode == 1
        assert reason in ended.stderr
        assert seller.paid == 0


def test_it_pays_the_same_seller_when_it_does_not_lie(program: Path) -> None:
    with LyingSeller("") as seller:
        ended = buy(program, seller.url)

        assert seller.paid == 1
        assert "The payment failed" in ended.stderr
