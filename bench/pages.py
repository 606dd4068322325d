"""Pages: time, queries and compressed bytes of each, beside a bare route in the same process."""

from __future__ import annotations

import os
import re
import statistics
import tempfile
import time

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

PATHS = (
    "/",
    "/studio/till?model=flux-dev&n=2",
    "/credits",
    "/dashboard",
    "/gallery",
    "/settings",
    "/api/credits",
    "/api/credits/balance",
)
ROUNDS = 40
QUERIES_MAX = 12
BYTES_MAX = 40 * 1024


def main() -> None:
    """Print each page of a member beside its limits, and exit 1 where one is passed."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "CREDITAPP_ENV": "testing",
            "CREDITAPP_DATA": folder,
            "CREDITAPP_JOBS": "worker",
            "CREDITAPP_LOG_LEVEL": "error",
        }
        from creditapp.db import db
        from creditapp.http.policies import policy
        from creditapp.runtime import demo_data, server

        app = server.build()
        app.add_url_rule("/bench-bare", "bench_bare", policy("public")(lambda: "ok"))
        with app.app_context():
            list(demo_data.seed())
            queries: list[str] = []
            event.listen(db.engine, "before_cursor_execute", lambda *a: queries.append(a[2]))
        browser = _logged_in(app)
        bare_ms = _milliseconds(browser, "/bench-bare")
        print("\nPages of a member with history, SQLite, one thread")
        print(
            f"{'page':<33} {'ms':>7} {'x bare':>7} {'queries':>8} {'limit':>6} "
            f"{'KB br':>7} {'limit':>6}"
        )
        print(f"{'bare route':<33} {bare_ms:7.2f}")
        for path in PATHS:
            queries.clear()
            answer = browser.get(path, headers={"Accept-Encoding": "br"})
            count, size = len(queries), len(answer.data)
            spent = _milliseconds(browser, path)
            print(
                f"{path:<33} {spent:7.2f} {spent / bare_ms:7.1f} {count:8d} {QUERIES_MAX:6d} "
                f"{size / 1024:7.1f} {BYTES_MAX // 1024:6d}"
            )
            if count > QUERIES_MAX or size > BYTES_MAX:
                raise SystemExit(f"{path} passes its limit")


def _logged_in(app: Flask) -> FlaskClient:
    from creditapp.runtime.demo_data import PASSWORD

    browser = app.test_client()
    form = browser.get("/auth/login").text
    token = re.findall(r'name="csrf_token" value="([^"]+)"', form)[0]
    answer = browser.post(
        "/auth/login",
        data={"csrf_token": token, "email": "alice@example.com", "password": PASSWORD},
    )
    if answer.status_code != 303:
        raise RuntimeError(f"no session: {answer.status_code}")
    return browser


def _milliseconds(browser: FlaskClient, path: str) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        browser.get(path)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
