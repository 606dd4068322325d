"""Settings: what is read, what stops the start, and that each refusal says what to set."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from creditapp.config import NAMES, Settings, SettingsInvalid, load_settings
from creditapp.private_files import open_folder_warning

SECRET = "Zr8vQ1mW4xT7kJ2nB5cH9gD3fL6pS0aE"  # pragma: allowlist secret
ADMIN_KEY = "k3Wq9ZrT5vXb7NmL"  # pragma: allowlist secret
PRODUCTION = {
    "CREDITAPP_ENV": "production",
    "SECRET_KEY": SECRET,
    "STRIPE_SECRET_KEY": "sk_live_of_nobody",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_nobody",
    "SITE_URL": "https://credits.example",
    "MAIL_URL": "smtp://mail.example",
}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsInvalid) as raised:
        load_settings(environ)
    return str(raised.value)


@pytest.fixture
def production(tmp_path: Path) -> dict[str, str]:
    return {**PRODUCTION, "CREDITAPP_DATA": str(tmp_path)}


def test_production_starts_on_settings_of_its_own(production: dict[str, str]) -> None:
    settings = load_settings(production)
    assert settings.production
    assert settings.livemode
    assert not settings.sandbox


def test_a_bare_machine_gets_a_demo(tmp_path: Path) -> None:
    settings = load_settings({"CREDITAPP_DATA": str(tmp_path)})
    assert (settings.env, settings.sandbox, settings.livemode) == ("demo", True, False)
    assert settings.database_url == f"sqlite:///{tmp_path / 'creditapp.sqlite'}"
    assert settings.site_url == "http://127.0.0.1:8000"


def test_webhooks_reach_this_machine_only_where_nobody_else_reaches_it(
    tmp_path: Path, production: dict[str, str]
) -> None:
    demo = {"CREDITAPP_DATA": str(tmp_path)}
    assert load_settings(demo).webhooks_to_loopback
    assert not load_settings({**demo, "HOST": "0.0.0.0"}).webhooks_to_loopback
    assert not load_settings({**demo, "CREDITAPP_WEBHOOKS_TO_LOOPBACK": "0"}).webhooks_to_loopback
    assert not load_settings(production).webhooks_to_loopback


REFUSED_IN_PRODUCTION = {
    "webhooks to itself": (
        {"CREDITAPP_WEBHOOKS_TO_LOOPBACK": "1"},
        "CREDITAPP_WEBHOOKS_TO_LOOPBACK",
    ),
    "no secret": ({"SECRET_KEY": ""}, "SECRET_KEY"),
    "a short secret": ({"SECRET_KEY": "x" * 31}, "SECRET_KEY"),
    "a default secret": ({"SECRET_KEY": "change-me-" + SECRET}, "SECRET_KEY"),
    "another default secret": ({"SECRET_KEY": "django-insecure-" + SECRET}, "SECRET_KEY"),
    "one letter": ({"SECRET_KEY": "x" * 40}, "SECRET_KEY"),
    "a word repeated": ({"SECRET_KEY": "creditapp!" * 4}, "SECRET_KEY"),
    "an admin key that is a placeholder": ({"ADMIN_API_KEY": "change-me-please"}, "ADMIN_API_KEY"),
    "a short admin key": ({"ADMIN_API_KEY": "q8Zr1mW4xT7kJ2n"}, "ADMIN_API_KEY"),
    "a metrics token of one letter": (
        {"CREDITAPP_METRICS_TOKEN": "x" * 40},
        "CREDITAPP_METRICS_TOKEN",
    ),
    "the payment sandbox": ({"STRIPE_SECRET_KEY": ""}, "STRIPE_SECRET_KEY"),
    "no webhook secret": ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET"),
    "no address": ({"SITE_URL": None}, "SITE_URL"),
    "an address without TLS": ({"SITE_URL": "http://credits.example"}, "SITE_URL"),
    "no mail": ({"MAIL_URL": ""}, "MAIL_URL"),
}


@pytest.mark.parametrize("what", REFUSED_IN_PRODUCTION)
def test_production_refuses_what_belongs_to_a_demo(production: dict[str, str], what: str) -> None:
    changes, name = REFUSED_IN_PRODUCTION[what]
    environ = {**production, **changes}
    said = refusal({name: value for name, value in environ.items() if value is not None})
    assert said.startswith(name), "the line begins with what to set"
    assert "\n" not in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CREDITAPP_ENV", "prod"),
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("CREDITAPP_THREADS", "0"),
        ("CREDITAPP_DEBUG", "maybe"),
        ("CREDITAPP_LOG_LEVEL", "loud"),
        ("CREDITAPP_TRUSTED_PROXIES", "11"),
        ("CREDITAPP_CLIENT_IP_HEADER", "X_Real_IP"),
        ("CREDITAPP_CLIENT_IP_HEADER", "X-Real-IP, Via"),
        ("CREDITAPP_JOBS", "elsewhere"),
        ("DATABASE_URL", "mysql://root@localhost/x"),
        ("SITE_URL", "credits.example"),
        ("STRIPE_API_BASE", "localhost:1"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(
    tmp_path: Path, name: str, value: str
) -> None:
    said = refusal({"CREDITAPP_DATA": str(tmp_path), name: value})
    assert said.startswith(name)
    assert "\n" not in said


def test_a_stripe_key_needs_the_secret_of_its_webhooks(tmp_path: Path) -> None:
    said = refusal({"CREDITAPP_DATA": str(tmp_path), "STRIPE_SECRET_KEY": "sk_test_x"})
    assert said.startswith("STRIPE_WEBHOOK_SECRET")


@pytest.mark.parametrize(
    ("key", "livemode"),
    [("sk_live_x", True), ("rk_live_x", True), ("sk_test_x", False), ("rk_test_x", False)],
)
def test_the_key_says_whether_money_is_real(tmp_path: Path, key: str, livemode: bool) -> None:
    settings = load_settings(
        {
            "CREDITAPP_DATA": str(tmp_path),
            "STRIPE_SECRET_KEY": key,
            "STRIPE_WEBHOOK_SECRET": "whsec_x",
        }
    )
    assert (settings.sandbox, settings.livemode) == (False, livemode)


def test_no_secret_is_printed_with_the_settings(production: dict[str, str]) -> None:
    shown = repr(
        load_settings({**production, "ADMIN_API_KEY": ADMIN_KEY, "MAIL_URL": "smtp://u:pw@h"})
    )
    for secret in (SECRET, "sk_live_of_nobody", "whsec_of_nobody", ADMIN_KEY, "u:pw"):
        assert secret not in shown


def test_the_demos_own_secret_is_kept_and_nobody_else_reads_it(tmp_path: Path) -> None:
    first, second = (load_settings({"CREDITAPP_DATA": str(tmp_path)}) for _ in range(2))
    assert first.secret_key == second.secret_key
    assert stat.S_IMODE(os.stat(tmp_path / "secret_key").st_mode) == 0o600
    assert first.derived_key("one") != first.derived_key("two")
    (tmp_path / "secret_key").write_text("cut off")
    assert "secret_key" in refusal({"CREDITAPP_DATA": str(tmp_path)})


@pytest.mark.parametrize("environ", [{}, {"SECRET_KEY": SECRET}, PRODUCTION])
def test_the_data_folder_is_made_for_this_user_alone(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    folder = tmp_path / "var" / "data"
    settings = load_settings({**environ, "CREDITAPP_DATA": str(folder)})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert open_folder_warning(settings) is None


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_folder_of_before_that_is_open_to_others_is_warned_of(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    warning = open_folder_warning(load_settings({"CREDITAPP_DATA": str(tmp_path)}))
    assert warning is not None
    assert f"({mode:04o}): run chmod" in warning


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for environ in ({}, PRODUCTION):
        folder = str(tmp_path / "file" / "data")
        assert "CREDITAPP_DATA" in refusal({**environ, "CREDITAPP_DATA": folder})


def test_processes_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    for attempt in range(20):
        environ = {"CREDITAPP_DATA": str(tmp_path / str(attempt))}
        with ThreadPoolExecutor(4) as pool:
            settings = list(pool.map(lambda _, e=environ: load_settings(e), range(4)))
        assert len({(each.secret_key, each.agents_key) for each in settings}) == 1
        names = {each.name for each in (tmp_path / str(attempt)).iterdir()}
        assert names == {"agents_key", "secret_key"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refusal({"CREDITAPP_DATA": str(tmp_path / "file")}).startswith("CREDITAPP_DATA")


def test_every_variable_has_a_name_once() -> None:
    assert len(NAMES) == len(set(NAMES)) == len(Settings.model_fields) - 1, "all but environ"


@pytest.mark.parametrize("key", ["short", "A" * 44, "é" * 43])
def test_the_key_that_signs_for_agents_is_32_bytes(key: str) -> None:
    assert "CREDITAPP_AGENTS_KEY must be 32 random bytes" in refusal({"CREDITAPP_AGENTS_KEY": key})


def test_production_without_the_key_sells_nothing_to_agents() -> None:
    assert load_settings(PRODUCTION).agents_key == ""


def test_trusted_receipt_issuers_are_keys() -> None:
    did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    settings = load_settings({**PRODUCTION, "CREDITAPP_TRUSTED_RECEIPT_ISSUERS": f"{did}, {did}"})
    assert settings.trusted_receipt_issuers == (did, did)
    for wrong in ("did:web:credits.example", "did:key:zDnaeSomeOtherCurve", "everybody"):
        refused = refusal({"CREDITAPP_TRUSTED_RECEIPT_ISSUERS": wrong})
        assert "CREDITAPP_TRUSTED_RECEIPT_ISSUERS must be identifiers" in refused
