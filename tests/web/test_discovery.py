"""The documents by which programs find what the site is, what it sells and how it is paid."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.agents.wallets import PAY_TO
from tests.app_factory import Person, SharedApps

X402 = {
    "CREDITAPP_X402_PAY_TO": PAY_TO,
    "CREDITAPP_X402_NETWORK": "base-sepolia",
    "CREDITAPP_X402_FACILITATOR": "https://facilitator.example",
}
MPP = {"CREDITAPP_MPP_SECRET": "a-secret-of-tests-that-signs-challenges"}
USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"


@pytest.fixture
def sold(shared_apps: SharedApps, database_kind: str) -> FlaskClient:
    """A program's client of a site that takes x402 and MPP."""
    return shared_apps.fresh(database_kind, X402 | MPP).test_client()


def test_llms_txt_says_how_to_buy_and_spend(client: FlaskClient) -> None:
    answer = client.get("/llms.txt")

    assert answer.mimetype == "text/plain"
    assert answer.text.startswith("# CreditApp\n\n> ")
    for path in ("/api/images/buy", "/api/images/generate", "/openapi.json", "/api/docs"):
        assert f"http://localhost{path}" in answer.text
    assert "$1.00" in answer.text
    assert "x402" not in answer.text
    assert "Set-Cookie" not in answer.headers
    assert "&#" not in answer.text
    assert "\n\n\n" not in answer.text


def test_llms_txt_names_the_rails(sold: FlaskClient) -> None:
    text = sold.get("/llms.txt").text

    assert "x402" in text
    assert "MPP" in text


def test_addresses_in_llms_txt_exist(app: Flask) -> None:
    text = Person(app).browser.get("/llms.txt").text
    known = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods}

    named = re.findall(r"(GET|POST) http://localhost(/[\w/.-]+)", text)
    named += [("GET", path) for path in re.findall(r"\]\(http://localhost(/[\w/.-]+)\)", text)]
    assert len(named) >= 8
    assert [each for each in named if each not in known] == []


@pytest.mark.parametrize("path", ["/llms.txt", "/openapi.json"])
def test_a_document_that_is_known_costs_a_few_bytes(client: FlaskClient, path: str) -> None:
    etag = client.get(path).headers["ETag"]

    again = client.get(path, headers={"If-None-Match": etag})

    assert again.status_code == 304


def test_openapi_is_where_programs_look_for_it(client: FlaskClient) -> None:
    assert client.get("/openapi.json").json == client.get("/api/openapi.json").json
    links = client.get("/openapi.json").json["x-service-info"]["docs"]
    assert links["llms"] == "http://localhost/llms.txt"


def test_openapi_says_what_is_paid_where_signed_payments_are_taken(
    sold: FlaskClient, client: FlaskClient
) -> None:
    buy = sold.get("/openapi.json").json["paths"]["/api/images/buy"]["post"]

    (offer,) = buy["x-payment-info"]["offers"]
    assert (offer["intent"], offer["method"], offer["amount"]) == ("charge", "evm", None)
    assert offer["currency"] == USDC
    assert "$1.00 a credit" in offer["description"]
    assert "402" in buy["responses"]
    assert "PAYMENT-SIGNATURE" in {each["name"] for each in buy["parameters"]}
    generate = sold.get("/openapi.json").json["paths"]["/api/images/generate"]["post"]
    (offer,) = generate["x-payment-info"]["offers"]
    assert (offer["amount"], offer["currency"]) == ("1000000", USDC)
    assert "402" in generate["responses"]


def test_without_signed_payments_openapi_offers_none(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").json["paths"]

    assert "x-payment-info" not in str(paths)


def test_the_methods_of_the_payment_scheme_are_named(sold: FlaskClient) -> None:
    answer = sold.get("/.well-known/payment")

    assert answer.json == {
        "version": 1,
        "realm": "localhost",
        "methods": {"evm": {"intents": ["charge"], "assets": [USDC]}},
    }
    assert answer.headers["Cache-Control"] == "max-age=300"


def test_a_site_without_the_payment_scheme_names_none(
    client: FlaskClient, shared_apps: SharedApps, database_kind: str
) -> None:
    assert client.get("/.well-known/payment").status_code == 404
    by_x402 = shared_apps.fresh(database_kind, X402).test_client()
    assert by_x402.get("/.well-known/payment").status_code == 404
