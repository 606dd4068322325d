"""What the sandbox takes and gives is what Stripe's SDK says: no more, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from creditapp.payments.stripe import connection
from creditapp.stripe_sandbox import parameters as p
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.routes import ROUTES, Route
from creditapp.stripe_sandbox.schemas import Schema
from tests.stripe_sandbox.contract import (
    faults_of_answer,
    faults_of_error,
    faults_of_schema,
    typed_dict_of,
)
from tests.stripe_sandbox.sandbox_kit import KEY, Sandbox


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_table_allows_nothing_that_stripe_does_not(route: Route) -> None:
    assert faults_of_schema(route.schema, typed_dict_of(route.method, route.path)) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"payment_method_types": p.Array(of=p.Text())}, "unknown to Stripe"),
        ({"coupon": p.Text()}, "unknown to Stripe"),
        ({"ui_mode": p.Choice(of=("hosted",))}, "no words of Stripe's"),
        ({"expires_at": p.Text()}, "Text against"),
        ({"allow_promotion_codes": p.Integer()}, "Integer against"),
        ({"success_url": p.Object(of={})}, "Fields against"),
        ({"adaptive_pricing": p.Object(of={"on": p.Boolean()})}, "adaptive_pricing.on: unknown"),
        ({"line_items": p.Array(of=p.Object(of={"amount": p.Integer()}))}, "[].amount: unknown"),
        (
            {"line_items": p.Array(of=p.Object(of={"price_data": p.Object(of={})}))},
            "price_data.currency: Stripe requires it",
        ),
        ({"expires_at": p.Integer(unsettable=True)}, "does not let it be unset"),
    ],
)
def test_the_checker_of_tables_sees_each_kind_of_fault(change: Schema, fault: str) -> None:
    params = typed_dict_of("POST", "/v1/checkout/sessions")
    assert any(fault in each for each in faults_of_schema(change, params))


def test_the_checker_of_answers_sees_each_kind_of_fault(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    sandbox.pay(session.id)
    path = f"/v1/checkout/sessions/{session.id}"
    whole = _get(sandbox, path + "?expand[]=payment_intent.latest_charge&expand[]=line_items")
    told = _get(sandbox, "/v1/events")
    assert faults_of_answer(whole) == []
    assert faults_of_answer(told) == []

    def fault(change: Any, of: Any = whole) -> str:
        changed = copy.deepcopy(of)
        change(changed)
        return "\n".join(faults_of_answer(changed))

    charge = "checkout.session.payment_intent.latest_charge"
    intent = whole["payment_intent"]
    assert intent["latest_charge"]["id"]
    assert fault(lambda s: s.update(colour="red")) == "checkout.session.colour: unknown field"
    assert fault(lambda s: s.pop("metadata")) == "checkout.session.metadata: missing"
    assert "is not int" in fault(lambda s: s.update(amount_total="1499"))
    assert "is not int" in fault(lambda s: s.update(amount_total=True))
    assert "is none of" in fault(lambda s: s.update(status="closed"))
    assert "not an object" in fault(lambda s: s.update(automatic_tax="off"))
    assert f"{charge}.paid" in fault(lambda s: s["payment_intent"]["latest_charge"].pop("paid"))
    assert "unknown field" in fault(lambda s: s["line_items"]["data"][0].update(x=1))
    assert "has_more" in fault(lambda s: s["line_items"].pop("has_more"))
    assert "none of" in fault(lambda page: page["data"][0].update(type="checkout.done"), told)
    assert "missing" in fault(lambda page: page["data"][0]["data"]["object"].pop("id"), told)
    assert "Customer" in fault(lambda s: s["payment_intent"].update(object="customer"))


@dataclass(frozen=True)
class Bad:
    """One request that Stripe refuses, and the parameter it names."""

    fields: dict[str, str]
    param: str
    why: str


def _bad_values(kind: p.Parameter, name: str, beside: dict[str, str]) -> Iterator[Bad]:
    """Yield every wrong type and word for one parameter and those inside it.

    ``beside`` are good values for what is required next to it.
    """
    if isinstance(kind, p.Integer | p.Percent | p.Boolean | p.Choice | p.Url | p.TimestampRange):
        yield Bad({**beside, name: "no such value"}, name, "wrong value")
    if isinstance(kind, p.Text):
        yield Bad({**beside, name: "https://" + "x" * kind.length_max}, name, "too long")
    if isinstance(kind, p.Integer):
        for bound, step in ((kind.minimum, -1), (kind.maximum, 1)):
            if bound is not None:
                yield Bad({**beside, name: str(bound + step)}, name, "out of bounds")
    if isinstance(kind, p.Object | p.Array | p.Metadata):
        yield Bad({**beside, name: "text"}, name, "text for an object or a list")
    else:
        inner = "no_such" if isinstance(kind, p.TimestampRange) else "inner"
        yield Bad({**beside, f"{name}[{inner}]": "x"}, name, "an object for a plain value")
    if isinstance(kind, p.Object):
        unknown = f"{name}[no_such]"
        yield Bad({**beside, unknown: "x"}, unknown, "unknown parameter")
        for each, inside in kind.of.items():
            good = beside | _required(kind.of, but=each, name=f"{name}[%s]")
            yield from _bad_values(inside, f"{name}[{each}]", good)
    if isinstance(kind, p.Array):
        yield from _bad_values(kind.of, f"{name}[0]", beside)
    if not kind.unsettable:
        yield Bad({**beside, name: ""}, name, "empty")


def _required(schema: Mapping[str, p.Parameter], *, but: str, name: str = "%s") -> dict[str, str]:
    good: dict[str, str] = {}
    for each, kind in schema.items():
        if kind.required and each != but:
            good |= _good(kind, name % each)
    return good


def _good(kind: p.Parameter, name: str) -> dict[str, str]:
    """Return a right value for one parameter, or for what one must have inside."""
    if isinstance(kind, p.Object):
        return _required(kind.of, but="", name=f"{name}[%s]")
    if isinstance(kind, p.Choice):
        return {name: kind.of[0]}
    if isinstance(kind, p.Integer):
        return {name: str(kind.minimum or 1)}
    return {name: "https://x.test/" if isinstance(kind, p.Url) else "usd"}


def _missing(schema: Mapping[str, p.Parameter], name: str = "%s") -> Iterator[Bad]:
    """Yield requests that lack one required parameter, at the top or inside."""
    for each, kind in schema.items():
        if kind.required:
            yield Bad(_required(schema, but=each, name=name), name % each, "missing")
        inner = kind.of if isinstance(kind, p.Array) else kind
        if isinstance(inner, p.Object) and any(k.required for k in inner.of.values()):
            below = name % each + ("[0]" if isinstance(kind, p.Array) else "")
            for bad in _missing(inner.of, f"{below}[%s]"):
                if bad.fields:
                    around = _required(schema, but=each, name=name)
                    yield Bad(around | bad.fields, bad.param, "missing")


def _bad_requests() -> list[Any]:
    requests = []
    for route in ROUTES:
        bad = [Bad({"no_such": "x"}, "no_such", "unknown parameter"), *_missing(route.schema)]
        for name, kind in route.schema.items():
            bad += _bad_values(kind, name, _required(route.schema, but=name))
        for each in bad:
            label = f"{route.method} {route.path} {each.param} {each.why}"
            requests.append(pytest.param(route, each, id=label))
    return requests


@pytest.fixture(scope="module")
def lone_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sandbox for requests that change nothing."""
    from creditapp.stripe_sandbox import create_sandbox

    folder = tmp_path_factory.mktemp("sandbox")
    return create_sandbox(
        folder / "sandbox.sqlite", public_url="http://x", webhook_url=None, webhook_secret=""
    ).test_client()


@pytest.mark.parametrize(("route", "bad"), _bad_requests())
def test_what_stripe_forbids_is_refused(lone_sandbox: Any, route: Route, bad: Bad) -> None:
    path = route.path.replace("<id>", "some_id")
    headers = {"Authorization": f"Bearer {KEY}"}
    place = "data" if route.method == "POST" else "query_string"
    answer = lone_sandbox.open(path, method=route.method, headers=headers, **{place: bad.fields})
    error = answer.get_json()["error"]
    assert answer.status_code == 400, error
    assert error["type"] == "invalid_request_error"
    assert faults_of_error(answer.get_json()) == []
    assert error["param"].startswith(bad.param), error


def test_the_versions_of_sdk_gateway_and_sandbox_are_one() -> None:
    assert stripe.api_version == connection.API_VERSION == event.API_VERSION


def _get(sandbox: Sandbox, path: str) -> dict[str, Any]:
    answer = sandbox.app.test_client().get(path, headers={"Authorization": f"Bearer {KEY}"})
    parsed: dict[str, Any] = answer.get_json()
    return parsed
