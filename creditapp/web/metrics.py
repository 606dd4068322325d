"""Prometheus metrics: counts by route and by state, without personal data.

Each app has a registry of its own, so that two apps in one process are not added up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from flask import Flask, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from creditapp import jobs
from creditapp.config import METRICS_FOLDER, Settings
from creditapp.db import snapshot
from creditapp.generation.models import STATES, Generation
from creditapp.services import get, provide

CONTENT_TYPE = CONTENT_TYPE_LATEST
CACHE_SECONDS = 5.0
"""How long counts of the database are cached: the page is public, and they cost a scan."""

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one app, or those of all web processes, which share a folder."""

    def __init__(self, shared_folder: str | None) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        own = None if shared_folder else self.registry
        if shared_folder:
            MultiProcessCollector(self.registry, shared_folder)  # type: ignore[no-untyped-call]  # it has no types
        self.requests = Counter(
            "creditapp_requests", "Requests, by route.", ["method", "route", "status"], registry=own
        )
        self.seconds = Histogram(
            "creditapp_request_seconds", "Response time.", ["route"], buckets=_BUCKETS, registry=own
        )
        self.registry.register(_StoredCounts())


def init_app(app: Flask) -> None:
    """Count every request of the app."""
    with app.app_context():
        shared_folder = get(Settings).environ.get(METRICS_FOLDER)
    provide(app, Metrics, Metrics(shared_folder))
    app.before_request(_begin)
    app.after_request(_count)


def text() -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(get(Metrics).registry)


def _begin() -> None:
    g.began_at = time.perf_counter()


def _count(response: Response) -> Response:
    # Never the path itself: it has ids, and a caller could invent paths until memory is full.
    route = request.url_rule.rule if request.url_rule else "unmatched"
    method = request.method if request.method in _METHODS else "other"
    metrics = get(Metrics)
    metrics.requests.labels(method, route, str(response.status_code)).inc()
    if (began_at := g.pop("began_at", None)) is not None:
        metrics.seconds.labels(route).observe(time.perf_counter() - began_at)
    return response


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class _StoredCounts(Collector):
    """Counts of the database and the job store, cached for ``CACHE_SECONDS``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._generations: dict[str, int] = {}
        self._jobs: jobs.Health | None = None

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing: registering must not query the database."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            if time.monotonic() - self._read_at > CACHE_SECONDS:
                self._generations, self._jobs = _generations(), jobs.health()
                self._read_at = time.monotonic()
            generations, health = self._generations, self._jobs
        by_state = GaugeMetricFamily(
            "creditapp_generations", "Stored generations, by state.", labels=["state"]
        )
        for state, count in generations.items():
            by_state.add_metric([state], count)
        yield by_state
        if health is None:
            return
        for name, text, value in (
            ("waiting", "Waiting jobs.", health.waiting),
            ("running", "Running jobs.", health.running),
            ("dead", "Jobs that failed for good.", health.dead_letters),
            ("lag_seconds", "Waiting time of the oldest job.", health.lag_seconds),
            ("workers", "Live workers.", health.workers),
        ):
            yield GaugeMetricFamily(f"creditapp_jobs_{name}", text, value=value)


def _generations() -> dict[str, int]:
    query = select(Generation.state, func.count()).group_by(Generation.state)
    try:
        with snapshot() as session:
            counts = {row[0]: row[1] for row in session.execute(query)}
    except SQLAlchemyError:
        return {}  # the scrape must not fail: /readyz reports the reason
    return {state: counts.get(state, 0) for state in STATES}
