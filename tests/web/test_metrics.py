"""``/metrics``: the counts that Prometheus reads, without personal data."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from creditapp import jobs
from creditapp.config import Settings
from creditapp.services import get
from creditapp.web import metrics
from tests.app_factory import Person, build_app, close_app
from tests.web.steps import queries


@pytest.fixture
def app(own_app: Flask) -> Flask:
    return own_app


def scrape(app: Flask) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = app.test_client().get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def requests(app: Flask, method: str, route: str, status: int) -> float:
    labels = (("method", method), ("route", route), ("status", str(status)))
    return scrape(app).get(("creditapp_requests_total", labels), 0)


@pytest.fixture(autouse=True)
def _fresh_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CACHE_SECONDS", 0.0)
    health = jobs.Health(True, 1, None, waiting=3, running=2, lag_seconds=0.5, dead_letters=4)
    monkeypatch.setattr(jobs, "health", lambda: health)


def test_requests_are_counted_by_route_and_status(app: Flask, client: FlaskClient) -> None:
    for number in range(3):
        client.get(f"/api/generations/gen_{number}")
    client.get("/healthz")
    client.get("/nothing/of/alice@example.com")
    client.open("/healthz", method="BREW")
    assert requests(app, "GET", "/api/generations/<generation_id>", 404) == 3
    assert requests(app, "GET", "/healthz", 200) == 1
    assert requests(app, "GET", "unmatched", 404) == 1
    assert requests(app, "other", "unmatched", 405) == 1
    text = client.get("/metrics").text
    assert "gen_" not in text
    assert "@" not in text
    assert 'creditapp_request_seconds_count{route="/healthz"}' in text


def test_generations_and_jobs_are_counted_by_state(app: Flask) -> None:
    for number in range(2):
        guest = Person(app)
        guest.browser.environ_base["REMOTE_ADDR"] = f"10.0.0.{number}"
        guest.call("POST", "/api/generate-image", {"prompt": "a quay"}, Prefer="respond-async")
    samples = scrape(app)
    assert samples["creditapp_generations", (("state", "queued"),)] == 2
    assert samples["creditapp_generations", (("state", "succeeded"),)] == 0
    expected = {"waiting": 3, "running": 2, "dead": 4, "lag_seconds": 0.5, "workers": 1}
    assert {name: samples[f"creditapp_jobs_{name}", ()] for name in expected} == expected


def test_the_job_store_is_counted(
    app: Flask, monkeypatch: pytest.MonkeyPatch, client: FlaskClient
) -> None:
    monkeypatch.undo()
    with app.app_context():
        settings = get(Settings)
        jobs.init_app(app, settings.database_url, settings.data_dir)
        jobs.enqueue("email", "email_1")
    samples = scrape(app)
    assert samples["creditapp_jobs_waiting", ()] == 1
    assert samples["creditapp_jobs_workers", ()] == 0
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["jobs"]) == (503, "no worker")


def test_two_apps_in_one_process_count_apart(app: Flask, tmp_path) -> None:  # type: ignore[no-untyped-def]
    other = build_app(f"sqlite:///{tmp_path / 'other.sqlite'}", tmp_path / "other")
    app.test_client().get("/healthz")
    assert requests(app, "GET", "/healthz", 200) == 1
    assert requests(other, "GET", "/healthz", 200) == 0


def test_a_database_that_does_not_answer_does_not_fail_the_scrape(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(metrics, "snapshot", fail)
    assert not [name for name, _ in scrape(app) if name == "creditapp_generations"]


def test_counts_of_the_database_are_cached(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CACHE_SECONDS", 60.0)
    with queries(app) as first:
        scrape(app)
    with queries(app) as later:
        for _ in range(4):
            scrape(app)
    assert [any("generations" in each for each in made) for made in (first, later)] == [True, False]
    assert "nan" not in str(scrape(app))


def test_a_token_closes_the_metrics_and_nothing_else(database_url: str, tmp_path: Path) -> None:
    token = "Qm4Tz8Lw2Kc6Vn9X"  # pragma: allowlist secret
    app = build_app(database_url, tmp_path, {"CREDITAPP_METRICS_TOKEN": token})
    browser = app.test_client()
    for sent in ({}, {"Authorization": token}, {"Authorization": "Bearer wrong"}):
        refused = browser.get("/metrics", headers={"Accept": "application/json", **sent})
        assert (refused.status_code, refused.json["code"]) == (401, "authentication_required")
        assert token not in refused.text
    assert browser.get("/healthz").status_code == 200
    close_app(app)
