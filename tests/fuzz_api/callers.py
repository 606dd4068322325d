"""The callers of the API in its fuzzing, and the run of Schemathesis as one of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from wsgiref.types import StartResponse

import schemathesis
from flask import Flask
from schemathesis.engine import events, from_schema

from creditapp.jobs.engine import JobStore
from creditapp.payments.stripe.server import SandboxGateway
from creditapp.services import get, provide
from creditapp.stripe_sandbox.state import State
from tests.app_factory import Person, Queue, get_clock

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance", "allow_header_conformance"),
    *("use_after_free", "unsupported_method"),
)
DOCUMENTED_FAILURES = (502, 503, 504)
"""Failures of vendors, which the description names."""
UNREACHABLE = "^(/readyz|/metrics)$"
"""They ask the job store, for which the tests have a stand-in."""
BETWEEN_REQUESTS = timedelta(seconds=1)
"""How far the clock moves with each request, so that a limit by the minute does not end the run."""
ALL_PHASES = ("examples", "coverage", "fuzzing", "stateful")


class AtOnce(Queue):
    """Jobs that run when they are queued, in the request that queues them."""

    def enqueue(self, name: str, row_id: str, **options: object) -> None:
        """Run a job once by name and id."""
        super().enqueue(name, row_id, **options)
        self.run()


@dataclass
class Working:
    """The app and its payment sandbox, whose clocks move with each request."""

    app: Flask
    cookie: str = ""
    requests: int = 0
    statuses: set[tuple[str, int]] = field(default_factory=set)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""

        def note(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            self.statuses.add((environ["PATH_INFO"], int(status[:3])))
            return start_response(status, headers, *more)

        self.requests += 1
        if self.cookie:
            environ["HTTP_COOKIE"] = self.cookie
        body = list(self.app(environ, note))
        with self.app.app_context():
            clock = get_clock()
            clock.advance(BETWEEN_REQUESTS)
            sandbox = State.of(get(SandboxGateway).sandbox)
        with sandbox.transaction() as store:  # refuses a checkout that ends in more than a day
            store.advance(max(0, int(clock.now().timestamp()) - store.now))
        return body


def cookie_of(person: Person) -> str:
    """Return the cookies of a person's browser."""
    cookies = person.browser._cookies or {}
    return "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies.values())


@dataclass(frozen=True)
class Caller:
    """The headers and the cookies of one kind of caller."""

    headers: Mapping[str, str]
    cookie: str = ""


@dataclass(frozen=True)
class Run:
    """The outcome of a run."""

    faults: list[str]
    requests: int
    successes: set[str]
    """Paths that answered with success."""


def attack(app: Flask, caller: Caller, *, seed: int, examples: int, phases: Collection[str]) -> Run:
    """Call every operation as ``caller``; return what the answers did wrong."""
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "continue-on-failure": True,
            "headers": {"Prefer": "respond-async", "Accept-Encoding": "identity", **caller.headers},
            "generation": {
                "max-examples": examples,
                "deterministic": seed == 0,
                "database": "none",
                "no-shrink": True,
                "with-security-parameters": False,
            },
            "phases": {name: {"enabled": name in phases} for name in ALL_PHASES},
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
        }
    )
    document = json.loads(app.test_client().get("/api/openapi.json").data)
    schema = schemathesis.openapi.from_dict(document, config=config)
    provide(app, JobStore, AtOnce(app))
    working = Working(app, caller.cookie)
    schema.app = working
    schema.location = "/api/openapi.json"
    schema = schema.exclude(path_regex=UNREACHABLE)
    faults: list[str] = []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            faults += _faults(event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            faults.append(f"{event.__class__.__name__}: {event}")
    successes = {path for path, status in working.statuses if status < 300}
    return Run(list(dict.fromkeys(faults)), working.requests, successes)


def _faults(event: events.ScenarioFinished) -> Iterable[str]:
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            case = event.recorder.cases[case_id].value
            failure = check.failure_info.failure
            answer = event.recorder.interactions[case_id].response
            status = answer.status_code if answer else 0
            if check.name == "not_a_server_error" and status in DOCUMENTED_FAILURES:
                continue
            text = (answer.content or b"")[:300] if answer else b""
            yield (
                f"{check.name}: {case.method} {case.path} {status}: {failure.title}:"
                f" {failure.message[:300]} {json.dumps(case.body, default=str)[:300]}"
                f" {case.query} {case.headers} {text!r}"
            )
