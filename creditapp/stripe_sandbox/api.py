"""API requests: authentication, parameters, idempotency and responses in Stripe's format."""

from __future__ import annotations

import base64
import json
import re
import time
from hashlib import sha256
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request

from creditapp.stripe_sandbox import checkout
from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.expansion import expand
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects.event import API_VERSION
from creditapp.stripe_sandbox.parameters import read
from creditapp.stripe_sandbox.routes import ROUTES, Route
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Json, Store

KEY_LENGTH_MAX = 255
RESPONSE_TTL_SECONDS = 86_400
_LIVE_KEY_PREFIXES = ("sk_live_", "rk_live_")


def install(app: Flask) -> None:
    """Register the API routes under ``/v1``."""
    api = Blueprint("api", __name__)
    for number, route in enumerate(ROUTES):
        api.add_url_rule(
            route.path, endpoint=f"route_{number}", view_func=_view(route), methods=[route.method]
        )
    for method in ("GET", "POST", "DELETE"):
        api.add_url_rule(
            "/v1/<path:path>", endpoint=f"unknown_{method}", view_func=_unknown, methods=[method]
        )
    app.register_blueprint(api)
    app.register_error_handler(413, _too_large)


def _view(route: Route) -> Any:
    def view(**path: str) -> Response:
        request_id = new_id("req_", 14)
        try:
            _authenticate()
            params = read(route.schema, _request_fields(route.method))
            return _respond_once(route, params, path, request_id)
        except StripeAPIError as api_error:
            return _respond({"error": api_error.body}, api_error.status, request_id)

    return view


def _unknown(path: str) -> Response:
    api_error = StripeAPIError(
        f"Unrecognized request URL ({request.method}: /v1/{path})."
        " The sandbox may not know it yet.",
        status=404,
    )
    return _respond({"error": api_error.body}, 404, new_id("req_", 14))


def _too_large(_error: Exception) -> Response:
    api_error = StripeAPIError("The request is too large.", status=413)
    return _respond({"error": api_error.body}, 413, new_id("req_", 14))


def _authenticate() -> None:
    """Refuse a request without a test key. A live key is never compared."""
    key = _api_key()
    if not key:
        raise StripeAPIError(
            "You did not provide an API key. You need to provide your API key in the"
            " Authorization header, using Bearer auth (e.g. 'Authorization: Bearer"
            " YOUR_SECRET_KEY').",
            status=401,
        )
    state = State.of(current_app)
    if key.startswith(_LIVE_KEY_PREFIXES):
        raise StripeAPIError(
            "This is a sandbox: it refuses live keys. Use a key that begins with sk_test_.",
            status=401,
        )
    if not re.fullmatch(r"[sr]k_test_\w+", key) or state.secret_key not in (None, key):
        raise StripeAPIError(f"Invalid API Key provided: {key[:8]}****", status=401)
    version = request.headers.get("Stripe-Version", API_VERSION)
    if version != API_VERSION:
        raise StripeAPIError(
            f"Invalid Stripe API version: {version[:40]}. This sandbox speaks {API_VERSION}."
        )


def _api_key() -> str:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest).decode().partition(":")[0]
        except ValueError:
            return ""
    return rest.strip() if scheme.lower() == "bearer" else ""


def _request_fields(method: str) -> list[tuple[str, str]]:
    params = request.form if method == "POST" else request.args
    if method == "POST" and request.mimetype == "application/json":
        raise StripeAPIError(
            "Invalid request: the body must be form-encoded"
            " (Content-Type: application/x-www-form-urlencoded)."
        )
    return list(params.items(multi=True))


def _respond_once(
    route: Route, params: dict[str, Any], path: dict[str, str], request_id: str
) -> Response:
    """Run a request once per idempotency key and replay the stored response afterwards.

    The handler's changes and the stored response are committed in one transaction. As with Stripe,
    a parameter error is raised earlier and not stored: the corrected request may reuse its key.
    """
    key = request.headers.get("Idempotency-Key", "") if route.method == "POST" else ""
    if len(key) > KEY_LENGTH_MAX:
        raise StripeAPIError(f"Idempotency keys can be at most {KEY_LENGTH_MAX} characters long.")
    state = State.of(current_app)
    with state.transaction() as store:
        checkout.run_due_work(store)
        store.request_id, store.idempotency_key = request_id, key or None
        digest = sha256(json.dumps([request.path, params], sort_keys=True).encode()).hexdigest()
        if key:
            stored = _stored_response(store, key, request.path, digest)
            if stored is not None:
                return _respond(*stored, request_id, key=key, replayed=True)
        body, status = _run_handler(store, route, params, path)
        if key:
            store.connection.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, request.path, digest, request_id, status, json.dumps(body), time.time()),
            )
    return _respond(body, status, request_id, key=key)


def _run_handler(
    store: Store, route: Route, params: dict[str, Any], path: dict[str, str]
) -> tuple[Json, int]:
    """Run the handler. An error rolls back its changes, but its response is stored too."""
    store.connection.execute("SAVEPOINT handler")
    try:
        paths = params.pop("expand", [])
        body = expand(store, route.handler(store, params, *path.values()), paths)
        status = 200
    except StripeAPIError as api_error:
        if not api_error.keep_changes:
            store.connection.execute("ROLLBACK TO handler")
        body, status = {"error": api_error.body}, api_error.status
    store.connection.execute("RELEASE handler")
    return body, status


def _stored_response(store: Store, key: str, path: str, digest: str) -> tuple[Json, int] | None:
    store.connection.execute(
        "DELETE FROM answers WHERE created_at < ?", (time.time() - RESPONSE_TTL_SECONDS,)
    )
    row = store.connection.execute("SELECT * FROM answers WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    if row["path"] != path:
        raise StripeAPIError(
            "Keys for idempotent requests can only be used for the same endpoint they were first"
            f" used for ('{path}' vs '{row['path']}'). Try using a key other than '{key}' if you"
            " meant to execute a different request.",
            kind="idempotency_error",
        )
    if row["digest"] != digest:
        raise StripeAPIError(
            "Keys for idempotent requests can only be used with the same parameters they were"
            f" first used with. Try using a key other than '{key}' if you meant to execute a"
            " different request.",
            kind="idempotency_error",
        )
    return json.loads(row["body"]), row["status"]


def _respond(
    body: Json, status: int, request_id: str, *, key: str = "", replayed: bool = False
) -> Response:
    response = Response(
        json.dumps(body, indent=2, ensure_ascii=False) + "\n",
        status=status,
        mimetype="application/json",
    )
    response.headers["Request-Id"] = request_id
    response.headers["Stripe-Version"] = API_VERSION
    if key:
        response.headers["Idempotency-Key"] = key
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
