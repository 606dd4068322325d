"""The operator's commands, as processes: words for people, JSON for scripts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection

from creditapp import accounts, credentials
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.credentials import VENDORS
from creditapp.db import transaction
from creditapp.runtime import migrate
from creditapp.services import get
from tests.app_factory import Person, Queue, close_app, new_app
from tests.processes import run_command

pytestmark = pytest.mark.in_turn

ROOT = Path(__file__).resolve().parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Run a command over the test's database."""

    def call(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        own = {
            "CREDITAPP_DATA": str(tmp_path / "data"),
            "DATABASE_URL": database_url,
            "CREDITAPP_LOG_LEVEL": "error",
        }
        return run_command(*words, environ=own | environ)

    return call


@pytest.fixture
def app(own_app: Flask) -> Flask:
    """The app on the database that the commands open."""
    return own_app


@pytest.mark.databases("sqlite", "postgresql")
def test_a_person_is_made_given_credits_and_looked_at(run: Run) -> None:
    made = run("user", "create", "alice@example.com", "--password", "correct horse battery")
    assert made.returncode == 0, made.stderr
    given = run("grant", "alice@example.com", "12.5", "--reason", "Sorry", "--json")
    assert json.loads(given.stdout) == {"email": "alice@example.com", "balance": "62.5"}
    seen = json.loads(run("wallet", "alice@example.com", "--json").stdout)
    assert (seen["available"], seen["held"]) == ("62.5", "0")
    assert [grant["source"] for grant in seen["grants"]] == ["welcome", "admin"]
    assert "62.5 credits to spend" in run("wallet", "alice@example.com").stdout
    key = json.loads(run("api-key", "create", "alice@example.com", "--json").stdout)
    assert (key["key"][:4], key["scopes"]) == ("cak_", ["read", "generate"])


def test_provider_keys_are_carried_over_a_change_of_the_secret_key(
    run: Run, database_url: str, tmp_path: Path
) -> None:
    made = run("user", "create", "alice@example.com", "--password", "correct horse battery")
    assert made.returncode == 0, made.stderr
    app = new_app(database_url, tmp_path)
    with app.app_context(), transaction() as session:
        secret = get(Settings).secret_key
        alice = accounts.find_by_email(session, "alice@example.com")
        assert alice is not None
        credentials.store_key(
            session, alice.id, VENDORS["fal"], "a-key-of-fal-0123", checked_at=None, now=now()
        )
    close_app(app)
    new = {"SECRET_KEY": "another secret key of the tests, long enough"}
    lost = run("reencrypt-keys", "--json", **new)
    assert lost.returncode == 0, lost.stderr
    assert json.loads(lost.stdout) == {"renewed": 0, "lost": 1}
    earlier = {"CREDITAPP_PREVIOUS_SECRET_KEYS": secret}
    assert "1 key is encrypted" in run("reencrypt-keys", **new, **earlier).stdout
    assert json.loads(run("reencrypt-keys", "--json", **new).stdout) == {"renewed": 1, "lost": 0}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("grant", "nobody@example.com", "5", "--reason", "x"), "No account has the email address"),
        (("grant", "a@example.com", "-5", "--reason", "x"), "No such option"),
        (("grant", "a@example.com", "0", "--reason", "x"), "greater than zero"),
        (("grant", "a@example.com", "0.0000001", "--reason", "x"), "at most 6 decimals"),
        (("grant", "a@example.com", "five", "--reason", "x"), "not a number"),
        (("grant", "a@example.com", "5"), "Missing option"),
        (("user", "create", "no address", "--password", "correct horse battery"), "address"),
        (("user", "create", "a@example.com", "--password", "short"), "10 characters"),
        (("frobnicate",), "No such command 'frobnicate'. See ./run --help."),
        (("grant",), "See ./run grant --help."),
        (("sandbox", "--port", "70000"), "not in the range"),
        (("reconcile", "--since", "yesterday"), "yesterday"),
        (("reconcile", "--since", "2999-01-01"), "future"),
        (("invoice", "accept", "in_nobody"), "no invoice in_nobody of a plan here"),
        (("invoice", "accept"), "Missing argument"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(run: Run, words: tuple[str, ...], says: str) -> None:
    answer = run(*words)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("words", [(), ("media",), ("invoice",)])
def test_the_help_of_a_group_says_whole_sentences(run: Run, words: tuple[str, ...]) -> None:
    answer = run(*words, "--help")
    assert answer.returncode == 0
    assert "Commands:" in answer.stdout
    assert re.search(r"\w\.\.\.$", answer.stdout, re.MULTILINE) is None


@pytest.mark.parametrize("command", ["check", "soak", "bench", "attack"])
def test_a_developers_command_shows_its_help_and_runs_nothing(command: str) -> None:
    answer = _develop(command, "--help")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"./run {command}")


@pytest.mark.parametrize("command", ["check", "soak", "bench"])
def test_a_developers_command_refuses_a_name_that_it_does_not_know(command: str) -> None:
    answer = _develop(command, "nothing")
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"There is no {command} named nothing.")
    assert len(answer.stderr.strip().splitlines()) == 1


def _develop(command: str, word: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", f"tools.{command}", command, word]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_an_address_that_is_taken_is_refused_before_the_password_is_asked_for(run: Run) -> None:
    assert run("user", "create", "a@example.com", "--password", "correct horse battery").stdout
    again = run("user", "create", "A@example.com")
    assert again.returncode == 2
    assert again.stderr == "A@example.com has an account already.\n"
    assert "Password" not in again.stdout


def test_the_help_names_every_command(run: Run) -> None:
    said = run("--help").stdout
    named = "serve worker migrate sandbox backup restore user grant wallet proof reconcile refund"
    for name in (*named.split(), "seed", "sync-prices", "test", "check", "soak", "bench"):
        assert re.search(rf"(?<!\S){name}\b", said), f"{name} is not in the help"


@pytest.mark.databases("sqlite", "postgresql")
def test_a_whole_ledger_is_proven(run: Run) -> None:
    run("user", "create", "alice@example.com", "--password", "correct horse battery")
    answer = run("proof")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "The ledger is whole." in answer.stdout
    assert json.loads(run("proof", "--json").stdout)["ok"] is True


@pytest.mark.parametrize("catalog", ["dollars", "agents"])
def test_demo_data_fits_every_catalog_and_is_made_once(run: Run, catalog: str) -> None:
    made = run("seed", CREDITAPP_CATALOG=catalog)
    assert made.returncode == 0, made.stderr
    assert "a guest with one image" in made.stdout
    again = run("seed", CREDITAPP_CATALOG=catalog)
    assert again.stdout.count("has an account already") == 3
    assert run("proof", CREDITAPP_CATALOG=catalog).returncode == 0


@pytest.mark.databases("sqlite", "postgresql")
def test_the_ledger_is_compared_with_stripe(run: Run, database_url: str) -> None:
    assert run("seed").returncode == 0
    agreed = run("reconcile")
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr
    assert "They agree." in agreed.stdout
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE purchases SET price_minor = 1 WHERE grant_id IS NOT NULL"))
    engine.dispose()
    answer = run("reconcile", "--json")
    assert answer.returncode == 1, answer.stderr
    report = json.loads(answer.stdout)
    assert report["ok"] is False
    assert {each["kind"] for each in report["differences"]} == {"amount"}
    assert len(report["differences"]) == report["compared"]["grantedPurchases"] > 0


def _unlock(connection: Connection) -> None:
    """Take the triggers away, as somebody with the database's password could."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("DROP TRIGGER entries_refuse_update"))
        connection.execute(text("DROP TRIGGER entries_refuse_delete"))
    else:
        connection.execute(text("ALTER TABLE entries DISABLE TRIGGER USER"))


def _alter(*statements: str) -> Callable[[Connection], None]:
    def change(connection: Connection) -> None:
        for statement in statements:
            if "entries" in statement:
                _unlock(connection)
            connection.execute(text(statement))

    return change


def _drop_a_trigger(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(text("DROP TRIGGER entries_refuse_update"))
    else:
        connection.execute(text("DROP TRIGGER entries_refuse_change ON entries"))


@pytest.mark.parametrize(
    ("change", "names_the_wallet"),
    [
        pytest.param(
            _alter("UPDATE wallets SET available_micro = available_micro + 1"), True, id="balance"
        ),
        pytest.param(
            _alter("UPDATE grants SET remaining_micro = remaining_micro - 1"), True, id="grant"
        ),
        pytest.param(
            _alter("UPDATE grants SET amount_micro = amount_micro + 1"), True, id="amount"
        ),
        pytest.param(
            _alter("UPDATE charges SET state = 'released', captured_micro = 0"), True, id="state"
        ),
        pytest.param(
            _alter("UPDATE entries SET amount_micro = amount_micro + 1 WHERE seq = 1"),
            True,
            id="entry",
        ),
        pytest.param(
            _alter("DELETE FROM entries WHERE seq = (SELECT MAX(seq) FROM entries)"),
            True,
            id="entry cut off",
        ),
        pytest.param(_drop_a_trigger, False, id="trigger dropped"),
    ],
)
@pytest.mark.databases("sqlite", "postgresql")
def test_the_proof_finds_an_altered_entry_and_names_its_wallet(
    run: Run,
    database_url: str,
    alice: Person,
    queue: Queue,
    change: Callable[[Connection], None],
    names_the_wallet: bool,
) -> None:
    made = alice.call(
        "POST", "/api/generate-image", {"prompt": "a boat", "n": 2}, Prefer="respond-async"
    )
    assert made.status_code == 202
    queue.run()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        # The test's schema was made at once; this is what the migrations would have noted.
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(
            text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": migrate.newest()}
        )
    with engine.begin() as connection:
        change(connection)
        wallet = connection.execute(text("SELECT id FROM wallets")).scalar_one()
    engine.dispose()
    answer = run("proof")
    assert answer.returncode == 1, answer.stdout
    assert "The ledger is whole." not in answer.stdout
    if names_the_wallet:
        assert f"wallet {wallet}" in answer.stdout
