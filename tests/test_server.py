"""Serving and working: nothing begins where a demo's credits or pictures would meet real money."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from creditapp import accounts, create_app
from creditapp.accounts import AccountRules
from creditapp.catalog import Catalog, load_catalog, versions
from creditapp.clock import now
from creditapp.config import SettingsInvalid, load_settings
from creditapp.db import snapshot, transaction
from creditapp.payments.purchases import checkout, packs
from creditapp.payments.purchases.packs import Order
from creditapp.payments.stripe.server import SandboxGateway
from creditapp.runtime import migrate, port, server
from creditapp.runtime.server import refuse_demo_money, refuse_offline_models
from creditapp.services import get
from creditapp.stripe_sandbox.state import State
from tests.app_factory import close_app
from tests.browser.conftest import free_port
from tests.processes import USUAL_MASK, run_command, start_command
from tests.test_config import PRODUCTION, REFUSED_IN_PRODUCTION

pytestmark = [pytest.mark.databases("sqlite", "postgresql"), pytest.mark.in_turn]

ROOT = Path(__file__).resolve().parent.parent
STUDIO = ROOT / "creditapp" / "catalog" / "studio.toml"
TIMEOUT_SECONDS = 60


def run(command: str, environ: dict[str, str], folder: Path) -> tuple[int, str, str]:
    """Run a command with nothing in its environment but what is given."""
    # The data's folder is the demo's own; production brings another, or none that matters.
    own = {"CREDITAPP_DATA": str(folder), "PORT": "0"}
    ended = run_command(command, environ=own | environ)
    return ended.returncode, ended.stdout, ended.stderr


def one_line(said: str) -> str:
    """Return the only line of a refusal."""
    lines = said.strip().splitlines()
    assert len(lines) == 1, said
    return lines[0]


@pytest.mark.parametrize("what", ["no secret", "a default secret", "the payment sandbox"])
def test_serve_refuses_a_demos_settings_in_production(tmp_path: Path, what: str) -> None:
    changes, name = REFUSED_IN_PRODUCTION[what]
    environ = {**PRODUCTION, **{key: value or "" for key, value in changes.items()}}
    status, out, said = run("serve", environ, tmp_path)
    assert (status, out) == (2, "")
    assert one_line(said).startswith(name)


def test_serve_refuses_a_catalog_of_offline_models_in_production(tmp_path: Path) -> None:
    catalog = tmp_path / "shop.toml"
    first = re.compile(r"(\[\[models\]\]\n)")
    catalog.write_text(first.sub(r'\1provider = "offline"\n', without_provider(), count=1))
    environ = {**PRODUCTION, "CREDITAPP_CATALOG": str(catalog)}
    for command in ("serve", "worker"):
        status, out, said = run(command, environ, tmp_path)
        assert (status, out) == (2, "")
        assert re.match(r"CREDITAPP_CATALOG: model nano-banana .* set its provider", one_line(said))


def without_provider() -> str:
    """Return the studio's catalog with its first model's provider left to be chosen."""
    text = STUDIO.read_text()
    start = text.index("[[models]]")
    end = text.index("[[models]]", start + 1)
    model = re.sub(r"(?m)^provider = .*\n", "", text[start:end])
    return text[:start] + model + text[end:]


def test_the_catalogs_that_ship_are_not_drawn_offline() -> None:
    for name in ("studio", "dollars", "agents"):
        catalog = load_catalog(name)
        refuse_offline_models(catalog)
        assert {model.provider for model in catalog.models} <= {"openai", "google", "fal"}


@pytest.fixture
def used_with_the_sandbox(database_url: str, tmp_path: Path) -> Iterator[str]:
    """A database of a demo in which somebody has bought a pack on the sandbox."""
    app = create_app(
        load_settings(
            {
                "CREDITAPP_DATA": str(tmp_path / "demo"),
                "DATABASE_URL": database_url,
                "CREDITAPP_LOG_LEVEL": "error",
            }
        )
    )
    with app.app_context():
        migrate.upgrade()
        new = accounts.prepare_account("alice@example.com", "correct horse battery")
        with transaction() as session:
            alice = accounts.sign_up(session, new, get(AccountRules), now=now()).user
        purchase = packs.start_checkout(Order("creator", ""), alice, key="demo")
        bank = get(SandboxGateway).sandbox
        form = {"token": State.of(bank).form_token(), "card": "succeeds", "email": "a@example.com"}
        bank.test_client().post(f"/pay/{purchase.checkout_id}", data=form)
        assert checkout.sync_purchase(purchase.id).state == "paid"
    yield database_url
    close_app(app)


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port on which another server listens that would share it, as ours do."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_second_server_on_a_port_stops_before_it_does_anything(
    taken: socket.socket, tmp_path: Path, host: str
) -> None:
    number = taken.getsockname()[1]
    status, out, said = run("serve", {"PORT": str(number), "HOST": host}, tmp_path)
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"{number} is in use; PORT=\d+ \./run", one_line(said))
    assert not (tmp_path / "creditapp.sqlite").exists()


@pytest.mark.databases("sqlite")
def test_the_sandbox_names_its_option_for_a_port_in_use(
    taken: socket.socket, tmp_path: Path
) -> None:
    number = taken.getsockname()[1]
    ended = run_command("sandbox", "--port", str(number), environ={"CREDITAPP_DATA": str(tmp_path)})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(rf"{number} is in use; \./run sandbox --port \d+", one_line(ended.stderr))


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_refused_in_one_line(tmp_path: Path, host: str) -> None:
    status, out, said = run("serve", {"PORT": "8761", "HOST": host}, tmp_path)
    assert (status, out) == (2, "")
    assert one_line(said).startswith("HOST")


def test_of_two_servers_that_start_at_once_one_gets_the_port(taken: socket.socket) -> None:
    number = taken.getsockname()[1]
    taken.close()
    with (
        port.claimed("127.0.0.1", number, "PORT={port} ./run"),
        pytest.raises(SettingsInvalid, match="is in use"),
        port.claimed("127.0.0.1", number, "PORT={port} ./run"),
    ):
        raise AssertionError("both have it")
    with port.claimed("127.0.0.1", number, "PORT={port} ./run"):
        pass  # it is free again


def test_a_server_starts_again_right_after_it_ended(taken: socket.socket) -> None:
    number = taken.getsockname()[1]
    with socket.create_connection(("127.0.0.1", number)):
        connection, _ = taken.accept()
        connection.close()  # first, so that this side of the connection waits for a minute
        taken.close()
    with (
        port.claimed("127.0.0.1", number, "PORT={port} ./run"),
        pytest.raises(SettingsInvalid, match=f"{number} is in use"),  # so it has the port
        port.claimed("127.0.0.1", number, "PORT={port} ./run"),
    ):
        raise AssertionError("both have it")


def test_workers_of_a_server_share_the_port_that_it_claimed(taken: socket.socket) -> None:
    number = taken.getsockname()[1]
    taken.close()
    with (
        port.claimed("127.0.0.1", number, "PORT={port} ./run"),
        socket.socket() as one,
        socket.socket() as other,
    ):
        for worker in (one, other):
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(("127.0.0.1", number))
            worker.listen()
        assert {each.getsockname()[1] for each in (one, other)} == {number}
        with socket.create_connection(("127.0.0.1", number)) as client:
            assert client.getpeername() == ("127.0.0.1", number)


def production_on(url: str, folder: Path, **changes: str) -> dict[str, str]:
    return {**PRODUCTION, "DATABASE_URL": url, "CREDITAPP_DATA": str(folder), **changes}


def test_production_refuses_a_database_that_holds_sandbox_credits(
    used_with_the_sandbox: str, tmp_path: Path
) -> None:
    environ = production_on(used_with_the_sandbox, tmp_path / "live")
    for command in ("serve", "worker"):
        status, out, said = run(command, environ, tmp_path / "live")
        assert (status, out) == (2, "")
        line = one_line(said)
        assert line.startswith("DATABASE_URL")
        assert "sandbox credits" in line
        assert "set it to an empty one" in line


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, True),
        ({"STRIPE_SECRET_KEY": "sk_test_x"}, True),
        ({"CREDITAPP_ENV": "demo"}, True),
        ({"CREDITAPP_ENV": "demo", "STRIPE_SECRET_KEY": "sk_test_x"}, False),
        ({"CREDITAPP_ENV": "demo", "STRIPE_SECRET_KEY": ""}, False),
    ],
    ids=["live", "production with a test key", "a live key in a demo", "a test key", "the demo"],
)
def test_sandbox_credits_stay_where_nothing_is_real(
    used_with_the_sandbox: str, tmp_path: Path, changes: dict[str, str], refused: bool
) -> None:
    settings = load_settings(production_on(used_with_the_sandbox, tmp_path / "other", **changes))
    app = create_app(settings)
    with app.app_context():
        if refused:
            with pytest.raises(SettingsInvalid, match="sandbox credits"):
                refuse_demo_money(settings)
        else:
            refuse_demo_money(settings)
    close_app(app)


def test_production_begins_on_an_empty_database(database_url: str, tmp_path: Path) -> None:
    settings = load_settings(production_on(database_url, tmp_path))
    app = create_app(settings)
    with app.app_context():
        with transaction() as session:
            migrate.create_all(session.connection())
        refuse_demo_money(settings)
        with snapshot() as session:
            assert session.scalar(text("SELECT COUNT(*) FROM grants")) == 0
    close_app(app)


def test_a_catalog_put_in_force_by_another_process_is_sold_by(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FOLLOW_SECONDS", 0.05)
    app, other = (demo_on(database_url, tmp_path / name) for name in ("one", "other"))
    stop = server.follow_catalog(app)
    try:
        with other.app_context(), transaction() as session:
            document = versions.document(session, versions.active_id(session) or "")
            edited = versions.add_version(
                session, {**document, "welcome": 70}, source="sync", now=now()
            )
        with app.app_context():
            give_up_at = time.monotonic() + TIMEOUT_SECONDS
            while get(Catalog).version_id != edited.version_id:
                assert time.monotonic() < give_up_at, "the first catalog is still sold by"
                time.sleep(0.02)
            assert get(AccountRules).credits.welcome_micro == 70_000_000
    finally:
        stop()
        close_app(app)
        close_app(other)


def demo_on(url: str, folder: Path) -> Flask:
    """Return a demo that could be served."""
    environ = {"CREDITAPP_DATA": str(folder), "DATABASE_URL": url, "CREDITAPP_LOG_LEVEL": "error"}
    app = create_app(load_settings(environ))
    with app.app_context():
        server.prepare(app)
    return app


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("command", "last_file"),
    [
        (["migrate"], "creditapp.sqlite"),
        (["serve"], "jobs.sqlite"),
        (["worker"], "jobs.sqlite"),
        (["sandbox", "--port", str(free_port())], "sandbox.sqlite"),
    ],
    ids=["a command", "serve", "worker", "sandbox"],
)
def test_no_file_of_any_process_can_be_read_by_others(
    tmp_path: Path, command: list[str], last_file: str
) -> None:
    data = tmp_path / "data"
    process = start_command(*command, environ=open_environ(data), folder=tmp_path)
    try:
        assert_private_once_made(data, last_file)
    finally:
        process.terminate()
        process.join(TIMEOUT_SECONDS)


@pytest.mark.databases("sqlite")
def test_no_file_of_the_app_itself_can_be_read_by_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    program = [sys.executable, "-c", "import app; app.app.test_client().get('/')"]
    process = subprocess.Popen(program, cwd=ROOT, env=open_environ(data), umask=USUAL_MASK)
    try:
        assert_private_once_made(data, "creditapp.sqlite")
    finally:
        process.terminate()
        process.wait(TIMEOUT_SECONDS)


def open_environ(data: Path) -> dict[str, str]:
    """Return an environment with a SECRET_KEY of the operator, so that no file is made for it."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "CREDITAPP_DATA": str(data),
        "SECRET_KEY": PRODUCTION["SECRET_KEY"],
        "PORT": "0",
    }


def assert_private_once_made(data: Path, last_file: str) -> None:
    """Assert that others can read no file of a process, once it has made its last one."""
    give_up_at = time.monotonic() + TIMEOUT_SECONDS
    while not (data / last_file).exists():
        assert time.monotonic() < give_up_at, f"{last_file} is not made"
        time.sleep(0.05)
    for path in (data, *data.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
