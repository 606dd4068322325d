"""Whether the app lives, whether it can work, and how much it does."""

from __future__ import annotations

from flask import Blueprint, Flask, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from creditapp import jobs
from creditapp.api.models import Liveness, Readiness
from creditapp.db import reading
from creditapp.http.json_provider import answer
from creditapp.http.openapi import documented
from creditapp.http.security import limiter, policy
from creditapp.web import metrics

site_pages = Blueprint("health", __name__)


def register(app: Flask) -> None:
    """Put the probes onto the app; a probe is never turned away for coming often."""
    limiter.exempt(site_pages)
    metrics.init_app(app)
    app.register_blueprint(site_pages)


@site_pages.get("/healthz")
@policy("public")
@documented("Whether this process answers", Liveness)
def healthz() -> Response:
    """Say that this process answers."""
    return answer(Liveness(status="ok").as_json())


@site_pages.get("/readyz")
@policy("public")
@documented("Whether requests can be served", Readiness, also={503: "Not now; it says why"})
def readyz() -> Response:
    """Say whether the database answers and somebody works on the jobs: 200, or 503 with why."""
    database, works = _database(), _jobs()
    ready = database == works == "ok"
    found = Readiness(status="ok" if ready else "unavailable", database=database, jobs=works)
    return answer(found.as_json(), 200 if ready else 503)


@site_pages.get("/metrics")
@policy("public")
@documented("Counts for Prometheus", str, mime_type="text/plain")
def show_metrics() -> Response:
    """Answer Prometheus: counts without anything about anybody."""
    return Response(metrics.text(), content_type=metrics.CONTENT_TYPE)


def _database() -> str:
    try:
        reading().execute(text("SELECT 1"))
    except SQLAlchemyError:
        return "unreachable"
    return "ok"


def _jobs() -> str:
    try:
        return "ok" if jobs.health().alive else "no worker"
    except SQLAlchemyError:
        return "unreachable"
