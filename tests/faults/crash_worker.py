"""CrashWorker: run an action in a child process that is killed at a chosen step."""

from __future__ import annotations

import signal
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from creditapp.stripe_sandbox.state import State
from tests.faults.payments_worker import NEVER_KILLED, Action, fork_server
from tests.processes import forked
from tests.shop_app import ShopApp


class CrashWorker:
    """Runs actions in child processes, and counts the kills by action and database."""

    def __init__(self, shop_app: ShopApp, folder: Path, killed: Counter[str]) -> None:
        self._killed = killed
        self._pipe, child_end = forked.Pipe()
        self._kind = shop_app.url.partition(":")[0].partition("+")[0]
        environ = {
            "CREDITAPP_ENV": "testing",
            "DATABASE_URL": shop_app.url,
            "SECRET_KEY": shop_app.settings.secret_key,
            "SITE_URL": "http://localhost",
            "CREDITAPP_LOG_LEVEL": "error",
            "STRIPE_SECRET_KEY": State.of(shop_app.gateway.sandbox).secret_key or "",
            "STRIPE_WEBHOOK_SECRET": shop_app.secret,
            "STRIPE_API_BASE": shop_app.gateway.api_base(),
        }
        self._process = forked.Process(target=fork_server, args=(child_end, environ, folder))
        self._process.start()

    def count(self, name: str, *arguments: Any, at: datetime | None = None) -> int:
        """Run it to its end and return how many steps it took."""
        ended, steps = self._do(Action(name, arguments, NEVER_KILLED, at))
        assert ended == 0
        assert steps > 0
        return steps

    def killed_at(self, step: int, name: str, *arguments: Any) -> None:
        """Run it and kill it at a step."""
        assert self.dies_at(step, name, *arguments), f"step {step} of {name} was never reached"

    def dies_at(self, step: int, name: str, *arguments: Any, at: datetime | None = None) -> bool:
        """Run it and kill it at a step; return False if it ended before that step."""
        ended, _steps = self._do(Action(name, arguments, step, at))
        assert ended in (0, signal.SIGKILL), f"{name} failed by itself: {ended}"
        self._killed[f"{name} on {self._kind}"] += ended == signal.SIGKILL
        return ended == signal.SIGKILL

    def _do(self, action: Action) -> tuple[int, int]:
        self._pipe.send(action)
        assert self._pipe.poll(120), "the child hangs"
        answer: tuple[int, int] = self._pipe.recv()
        return answer

    def stop(self) -> None:
        self._pipe.send(None)
        self._process.join(5)
