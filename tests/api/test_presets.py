"""The API with other catalogs, in production, and with the guests' budget used up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from creditapp.catalog import Catalog
from creditapp.services import get, provide
from tests.api.contract import Document, Program, check_problem
from tests.app_factory import Person, build_app, close_app, newcomer
from tests.generation.studio import Studio, remaining


@pytest.fixture(params=["studio", "dollars", "agents"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """The app with each shipped catalog."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    app = build_app(url, tmp_path, {"CREDITAPP_CATALOG": request.param})
    yield app
    close_app(app)


def test_every_shipped_catalog_agrees_with_the_document(shop: Flask) -> None:
    program = Program(Person(shop))
    for path in ("/api/credits", "/api/credit-packs", "/api/credit-costs", "/api/generations"):
        program.get(path)
    with shop.app_context():
        catalog = get(Catalog)
    for model in catalog.models:
        for quality in (None, *model.qualities):
            body = {"prompt": "a quay", "model": model.id, "quality": quality}
            quote = program.call("POST", "/api/quotes", body)
            assert quote.status_code == 200
            assert quote.json["cost"] > 0
    answer = program.call(
        "POST", "/api/generate-image", {"prompt": "a quay"}, Prefer="respond-async"
    )
    assert answer.status_code in (202, 401), answer.text


def test_in_production_a_model_without_a_key_is_unavailable_and_never_a_preview(
    tmp_path: Path,
) -> None:
    app = build_app(
        f"sqlite:///{tmp_path / 'shop.sqlite'}",
        tmp_path,
        {
            "CREDITAPP_ENV": "production",
            "SITE_URL": "https://shop.example",
            "STRIPE_SECRET_KEY": "sk_live_" + "x" * 24,
            "STRIPE_WEBHOOK_SECRET": "whsec_" + "x" * 24,
            "STRIPE_API_BASE": "https://stripe.example",
            "MAIL_URL": "smtp://127.0.0.1:2525",
        },
    )
    browser = app.test_client()
    answer = browser.post("/api/generate-image", json={"prompt": "a quay"})
    assert answer.status_code == 503, answer.text
    problem = check_problem(answer)
    assert (problem["code"], problem["creditsCharged"]) == ("provider_unavailable", 0)
    assert "KEY" not in answer.text, "which variable is missing is the operator's business"
    close_app(app)


def test_a_used_up_guest_budget_returns_when_it_resets(app: Flask, studio: Studio) -> None:
    with app.app_context():
        catalog = get(Catalog)
    provide(app, Catalog, catalog.model_copy(update={"guest_daily_budget": 0}))
    try:
        late = newcomer(app)
        answer = late.call("POST", "/api/generate-image", {"prompt": "a quay"})
        Document(app).check("POST", "/api/generate-image", answer)
        assert (answer.status_code, answer.json["code"]) == (429, "guest_budget_reached")
        assert answer.json["remaining"] == 0
        assert answer.json["signupUrl"] == "/auth/signup"
        assert answer.json["resetAt"].endswith("T00:00:00Z")
        assert remaining(late) == 3, "what was refused was not used"
    finally:
        provide(app, Catalog, catalog)
