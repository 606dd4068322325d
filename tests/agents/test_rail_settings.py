"""The settings of x402 and MPP: off until configured, and half a configuration stops the start."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from creditapp.agents.rails import rails_of
from creditapp.agents.rails.chain import chain_of
from creditapp.agents.rails.claims import TEST_NETWORKS
from creditapp.config import SettingsInvalid, load_settings
from tests.agents.wallets import PAY_TO

X402 = {
    "CREDITAPP_X402_PAY_TO": PAY_TO,
    "CREDITAPP_X402_NETWORK": "base-sepolia",
    "CREDITAPP_X402_FACILITATOR": "https://facilitator.example",
}
MPP = {"CREDITAPP_MPP_SECRET": "a-secret-of-tests-that-signs-challenges"}
CHECKED = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"


@pytest.fixture
def names(tmp_path: Path) -> Any:
    """Return the names of the rails of an environment."""

    def names_of(**environ: str) -> list[str]:
        settings = load_settings({"CREDITAPP_DATA": str(tmp_path), **environ})
        return [rail.name for rail in rails_of(settings)]

    return names_of


_DEEP = """
import json, sys
from creditapp.agents.rails import rails_of
from creditapp.config import load_settings
assert "x402" in [rail.name for rail in rails_of(load_settings({environ}))]
try:
    json.loads("[" * 100_000 + "]" * 100_000)
except RecursionError:
    print("refused")
"""


def test_with_signed_payments_deep_json_is_refused_and_ends_no_process(tmp_path: Path) -> None:
    """A library of theirs raises the recursion limit, at which such a body overflows the stack."""
    code = _DEEP.format(environ={"CREDITAPP_DATA": str(tmp_path), **X402})
    ended = subprocess.run(  # our own program
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "refused\n"), ended.stderr


def test_both_are_off_until_configured(names: Any) -> None:
    assert not {"x402", "mpp"} & set(names())
    assert "x402" in names(**X402)
    assert "mpp" not in names(**X402)
    assert {"x402", "mpp"} <= set(names(**X402, **MPP))


INVALID = {
    "CREDITAPP_X402_FACILITATOR is missing": {"CREDITAPP_X402_PAY_TO": PAY_TO},
    "CREDITAPP_X402_PAY_TO is missing: CREDITAPP_X402_FACILITATOR": {
        "CREDITAPP_X402_FACILITATOR": "https://facilitator.example"
    },
    "CREDITAPP_X402_PAY_TO is missing: CREDITAPP_MPP_SECRET": MPP,
    "CREDITAPP_X402_PAY_TO must be an address": X402 | {"CREDITAPP_X402_PAY_TO": "0x12"},
    "CREDITAPP_X402_PAY_TO has a typing error": X402
    | {"CREDITAPP_X402_PAY_TO": CHECKED.replace("fCD6", "fCd6")},
    "CREDITAPP_X402_NETWORK must be": X402 | {"CREDITAPP_X402_NETWORK": "ethereum"},
    "CREDITAPP_X402_FACILITATOR must be": X402 | {"CREDITAPP_X402_FACILITATOR": "facilitator"},
    "CREDITAPP_MPP_SECRET is short": X402 | {"CREDITAPP_MPP_SECRET": "short"},
}


@pytest.mark.parametrize("message", INVALID)
def test_a_mistake_stops_the_start_with_one_line(names: Any, message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message) as raised:
        names(**INVALID[message])
    assert "\n" not in str(raised.value)
    assert "secret-of-tests" not in str(raised.value)


@pytest.mark.parametrize("address", [CHECKED, CHECKED.lower(), "0x" + CHECKED[2:].upper()])
def test_an_address_may_be_without_a_checksum(names: Any, address: str) -> None:
    assert "x402" in names(**X402 | {"CREDITAPP_X402_PAY_TO": address})


PRODUCTION = {
    "CREDITAPP_ENV": "production",
    "SITE_URL": "https://credits.example",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
    "STRIPE_SECRET_KEY": "sk_live_" + "x" * 20,
    "STRIPE_WEBHOOK_SECRET": "whsec_" + "x" * 20,
    "MAIL_URL": "smtp://mail.example:25",
}


@pytest.mark.parametrize(
    ("network", "is_test"),
    [("base", False), ("celo", False), ("base-sepolia", True), ("celo-sepolia", True)],
)
def test_real_money_and_test_money_are_not_mixed(
    names: Any, tmp_path: Path, network: str, is_test: bool
) -> None:
    chosen = X402 | {"CREDITAPP_X402_NETWORK": network, "CREDITAPP_DATA": str(tmp_path)}
    staging = PRODUCTION | {"STRIPE_SECRET_KEY": "sk_test_" + "x" * 20}
    good, bad = (staging, PRODUCTION) if is_test else (PRODUCTION, staging)

    chain = chain_of(load_settings(good | chosen))

    assert chain is not None
    assert (chain.asset.network in TEST_NETWORKS) is is_test
    with pytest.raises(SettingsInvalid, match=r"X402_NETWORK (is a test|takes real)"):
        names(**bad | chosen)


def test_real_money_is_the_default_and_a_demo_takes_none(names: Any) -> None:
    unset = {name: text for name, text in X402.items() if name != "CREDITAPP_X402_NETWORK"}
    assert "x402" in names(**PRODUCTION | unset)
    with pytest.raises(SettingsInvalid, match="set base-sepolia or celo-sepolia"):
        names(**unset)


def test_production_asks_its_facilitator_by_https(names: Any) -> None:
    real = X402 | {"CREDITAPP_X402_NETWORK": "base"}
    with pytest.raises(SettingsInvalid, match="must begin with https"):
        names(**PRODUCTION | real | {"CREDITAPP_X402_FACILITATOR": "http://facilitator.example"})


def test_a_missing_extra_is_named(names: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "mpp":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsInvalid, match="needs the extra agents, which is not installed"):
        names(**X402)
