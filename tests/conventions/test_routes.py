"""Every route declares its policy, and paths follow one style."""

from __future__ import annotations

import importlib
import pkgutil
import re

from flask import Blueprint, Flask

from creditapp import api, web
from creditapp.http.policies import POLICIES, policy_of
from tests.app_factory import Person
from tests.conventions.files import ROOT

_KEBAB = re.compile(r"\.?[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)?")
_PARAMETER = re.compile(r"<(?:\w+:)?\w+>(\.[a-z]+)?")

_ENDPOINTS_OF_LIBRARIES = {"static"}

BLUEPRINTS = {"auth", "checkout", "webhooks", "generation", "site", "account", "api", "health"}
BLUEPRINTS |= {"chat", "mcp", "agents", "v1"}


def test_every_route_declares_a_policy(looked_at: Flask) -> None:
    undeclared = {
        rule.rule: policy_of(looked_at, rule.endpoint)
        for rule in looked_at.url_map.iter_rules()
        if policy_of(looked_at, rule.endpoint) not in POLICIES
    }
    assert undeclared == {}


def test_a_route_without_a_policy_is_refused(own_app: Flask) -> None:
    own_app.add_url_rule("/forgotten", "forgotten", lambda: "secrets")
    browser = Person(own_app).browser
    answer = browser.get("/forgotten")
    assert answer.status_code == 403
    problem = browser.get("/forgotten", headers={"Accept": "application/json"})
    assert problem.json["code"] == "forbidden"
    assert "secrets" not in answer.text


def test_paths_are_kebab_case(looked_at: Flask) -> None:
    odd = [
        rule.rule
        for rule in looked_at.url_map.iter_rules()
        for part in rule.rule.strip("/").split("/")
        if part and not _PARAMETER.fullmatch(part) and not _KEBAB.fullmatch(part)
    ]
    assert odd == []


def test_no_path_ends_with_a_slash(looked_at: Flask) -> None:
    paths = [rule.rule for rule in looked_at.url_map.iter_rules() if rule.rule != "/"]
    assert [path for path in paths if path.endswith("/")] == []


def test_reading_changes_nothing_and_writing_is_never_a_get(looked_at: Flask) -> None:
    both = [
        rule.rule
        for rule in looked_at.url_map.iter_rules()
        if "GET" in (rule.methods or set()) and {"POST", "DELETE"} & (rule.methods or set())
    ]
    assert both == []


def test_blueprints_have_the_promised_names(looked_at: Flask) -> None:
    names = {name.partition(".")[0] for name in looked_at.blueprints}  # nested ones follow a dot
    assert {"auth", "checkout", "webhooks", "generation"} <= names <= BLUEPRINTS


def test_every_blueprint_of_a_module_is_registered(looked_at: Flask) -> None:
    registered = {name.rpartition(".")[2] for name in looked_at.blueprints}
    forgotten = [
        module.name
        for package in (api, web)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, Blueprint) and value.name not in registered
    ]
    assert forgotten == []


def test_every_view_has_a_docstring(looked_at: Flask) -> None:
    undocumented = [
        endpoint
        for endpoint, view in looked_at.view_functions.items()
        if endpoint not in _ENDPOINTS_OF_LIBRARIES and not (view.__doc__ or "").strip()
    ]
    assert undocumented == []


def test_json_routes_are_in_the_api_package(looked_at: Flask) -> None:
    for endpoint, view in looked_at.view_functions.items():
        if endpoint.startswith(("api.", "mcp.", "agents.", "v1.")):
            assert view.__module__.startswith(api.__name__), endpoint
        elif endpoint not in _ENDPOINTS_OF_LIBRARIES:
            assert view.__module__.startswith((web.__name__, "creditapp.http")), endpoint


def test_only_entry_points_import_flask() -> None:
    # import-linter checks the layers; this names the file that imports Flask.
    allowed = {"__init__.py", "services.py", "db.py"}
    # jobs and the embedded sandbox pass the app to another thread; the sandbox is an app itself.
    folders = {"web", "api", "http", "cli", "runtime", "jobs", "stripe_sandbox", "payments"}
    importers = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "creditapp").rglob("*.py")
        if re.search(r"^\s*(from|import) flask\b", path.read_text(), re.MULTILINE)
        and path.name not in allowed
        and not folders & set(path.parts)
    ]
    assert importers == []
