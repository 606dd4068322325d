"""Probes and metrics for operators: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, request
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from creditapp import jobs
from creditapp.config import Settings
from creditapp.db import reading
from creditapp.errors import AuthenticationRequired
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.rate_limiting import limiter
from creditapp.http.schemas import Schema
from creditapp.services import get
from creditapp.web import metrics

health = Blueprint("health", __name__)


class Liveness(Schema):
    """The process answers."""

    status: str


class Readiness(Schema):
    """Whether requests can be served, and which part is missing."""

    status: str = Field(description="ok or unavailable.")
    database: str = Field(description="ok or unreachable.")
    jobs: str = Field(description="ok, no worker or unreachable.")


@health.get("/healthz")
@policy("public")
@limiter.exempt  # a probe is never refused for coming often
@Documented("Whether this process answers", Liveness)
def healthz() -> Response:
    """Return 200: this process answers."""
    return json_response(Liveness(status="ok"))


@health.get("/readyz")
@policy("public")
@limiter.exempt
@Documented(
    "Whether requests can be served", Readiness, also={503: "Not ready; the members say why"}
)
def readyz() -> Response:
    """Return 200 if the database answers and a worker runs jobs, else 503 with the reason."""
    database, workers = _database(), _jobs()
    ready = database == workers == "ok"
    status = "ok" if ready else "unavailable"
    readiness = Readiness(status=status, database=database, jobs=workers)
    return json_response(readiness, 200 if ready else 503)


@health.get("/metrics")
@policy("public")
@Documented(
    "Metrics for Prometheus",
    str,
    mime_type="text/plain",
    headers=["Authorization"],
    refuses=[AuthenticationRequired],
)
def show_metrics() -> Response:
    """Return the metrics, without personal data, to a caller with the token if one is set."""
    token = get(Settings).metrics_token
    sent = request.headers.get("Authorization", "")
    if token and not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        raise AuthenticationRequired("Send the token of the metrics as Authorization: Bearer.")
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
