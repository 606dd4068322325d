"""Watch the answers of apps in tests: each has a status and a code that its route names."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.routing import Rule

from creditapp.http.documented import documentation_of
from creditapp.http.refusals import refusals_of

undocumented: list[str] = []
"""Answers of the current test that their routes do not name."""


def watch(app: Flask) -> None:
    """Note each answer that its route's ``Documented(...)`` does not name."""
    named: dict[tuple[str, str], set[tuple[int, str | None]]] = {}

    def check(response: Response) -> Response:
        rule, method = request.url_rule, request.method
        if rule is None or method in ("HEAD", "OPTIONS"):
            return response
        if documentation_of(app.view_functions[rule.endpoint]) is None:
            return response
        key = (rule.endpoint, method)
        if key not in named:
            named[key] = _named(app, rule, method)
        answer = (response.status_code, _code(response))
        if answer not in named[key] and (response.status_code, None) not in named[key]:
            undocumented.append(f"{method} {rule.rule} answered {answer}: name it in refuses=")
        return response

    app.after_request(check)


def _named(app: Flask, rule: Rule, method: str) -> set[tuple[int, str | None]]:
    documentation = documentation_of(app.view_functions[rule.endpoint])
    assert documentation is not None
    named: set[tuple[int, str | None]] = {(status, None) for status in documentation.also}
    if documentation.response is not None:
        named.add((documentation.status, None))
    return named | {(kind.status, kind.code) for kind in refusals_of(app, rule, method)}


def _code(response: Response) -> str | None:
    if response.status_code < 400 or not response.mimetype.endswith("json"):
        return None
    problem = response.get_json(silent=True)
    if not isinstance(problem, dict):
        return None
    problem = problem if "code" in problem else problem.get("error", {})
    return problem.get("code") if isinstance(problem, dict) else None
