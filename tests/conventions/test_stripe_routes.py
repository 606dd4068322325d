"""Every route that reaches Stripe declares it, so that its calls are counted and bounded."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from types import FunctionType, ModuleType

from flask import Flask

from creditapp.http.stripe_requests import declares_stripe

_OFFLINE = {"livemode", "verify_webhook", "api_base", "start_deliveries", "close"}
"""Attributes of the gateway that call nobody."""


def test_every_route_that_reaches_stripe_declares_it(looked_at: Flask) -> None:
    undeclared = [
        endpoint
        for endpoint, view in looked_at.view_functions.items()
        if reaches_stripe(view) and not declares_stripe(looked_at, endpoint)
    ]
    assert undeclared == []


def test_the_routes_that_reach_stripe_are_found(looked_at: Flask) -> None:
    """The search itself: it finds each way to Stripe, and no page that only reads rows."""
    reaching = {
        rule.rule
        for rule in looked_at.url_map.iter_rules()
        if reaches_stripe(looked_at.view_functions[rule.endpoint])
    }
    assert reaching == {
        "/credits/checkout",
        "/credits/purchases/<purchase_id>/back",
        "/credits/plan",
        "/credits/plan/cancel",
        "/credits/plan/resume",
        "/credits/portal",
        "/settings/top-up",
        "/settings/top-up/back",
        "/ack/receipts",
        "/api/ack/receipts",
        "/api/payment-requests/<request_id>/checkout",
        "/payment-requests/<request_id>/checkout",
        "/api/billing/auto-topup",
        "/api/billing/checkout-session",
        "/api/billing/portal-link",
        "/api/billing/sync-prices",
        "/api/stripe/create-checkout",
        "/api/stripe/webhook",
        "/api/upgrade-plan",
        "/api/webhooks/stripe",
    }


def reaches_stripe(view: object) -> bool:
    """Return whether a function, or one that it calls in this project, calls the gateway."""
    seen: set[FunctionType] = set()
    waiting = [view] if isinstance(view, FunctionType) else []
    while waiting:
        function = inspect.unwrap(waiting.pop())  # a decorator's wrapper has other globals
        if function in seen or not function.__module__.startswith("creditapp."):
            continue
        seen.add(function)
        if calls_gateway(function):
            return True
        waiting += called_by(function)
    return False


@cache
def calls_gateway(function: FunctionType) -> bool:
    """Return whether a function calls a method of the gateway that sends a request."""
    if function.__module__.startswith("creditapp.payments.stripe."):
        return False
    tree = parsed(function)
    names = {"gateway"} & {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr in _OFFLINE:
            continue
        if ast.unparse(node.value) == "get(StripeGateway)":
            return True
        if isinstance(node.value, ast.Name) and node.value.id in names:
            return True
    return False


@cache
def called_by(function: FunctionType) -> list[FunctionType]:
    """Return the functions that a function names: those that it calls, or hands to a call."""
    return [
        found
        for node in ast.walk(parsed(function))
        if isinstance(found := _resolve(node, function), FunctionType)
    ]


def _resolve(node: ast.AST, function: FunctionType) -> object:
    if isinstance(node, ast.Name):
        return function.__globals__.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        owner = function.__globals__.get(node.value.id)
        return getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
    return None


@cache
def parsed(function: FunctionType) -> ast.AST:
    """Return the syntax tree of a function."""
    return ast.parse(textwrap.dedent(inspect.getsource(function)))
