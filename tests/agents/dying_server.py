"""A process that takes a payment and is killed between the settlement and the grant."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from creditapp.agents import payment, settlement
from tests.app_factory import new_app

BEFORE_SETTLING = "claimed, before the rail is asked"
BEFORE_GRANT = "settled, before the grant"
BEFORE_COMMIT = "granted, before the commit"
AFTER_COMMIT = "committed, before the answer"


def pay_and_die(database_url: str, folder: Path, token: str, step: str) -> None:
    """Send a paid request and kill this process at a step."""
    app = new_app(database_url, folder)
    {
        BEFORE_SETTLING: lambda: _die_before(payment, "_settle"),
        BEFORE_GRANT: lambda: _die_before(payment, "post"),
        BEFORE_COMMIT: lambda: _die_after(settlement, "_grant"),
        AFTER_COMMIT: lambda: _die_before(payment, "purchase_of"),
    }[step]()
    app.test_client().post(
        "/api/images/buy", json={"count": 3}, headers={"X-Sandbox-Payment": token}
    )


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_before(module: Any, name: str) -> None:
    setattr(module, name, _die)


def _die_after(module: Any, name: str) -> None:
    plain = getattr(module, name)

    def call(*arguments: Any, **named: Any) -> None:
        plain(*arguments, **named)
        _die()

    setattr(module, name, call)
