"""The way to Stripe, as something that a test can cut or listen to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError


class FlakyGateway:
    """The gateway as it is, on a line that a test can cut or listen to."""

    def __init__(self, gateway: StripeGateway) -> None:
        self._gateway = gateway
        self.calls = Counter[str]()
        self.before: Callable[[str], None] = lambda name: None
        self.after: Callable[[str], None] = lambda name: None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._gateway, name)
        if not callable(found):
            return found

        def call(*args: Any, **given: Any) -> Any:
            self.calls[name] += 1
            self.before(name)
            answer = found(*args, **given)
            self.after(name)
            return answer

        return call


def cut(name: str) -> Callable[[str], None]:
    """Return a listener that fails one method, as a line that is down does."""

    def fail(called: str) -> None:
        if called == name:
            raise GatewayError("Stripe: no answer", permanent=False)

    return fail


def once(name: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Return a listener that does something at the first call of one method."""
    waiting = [act]

    def listen(called: str) -> None:
        if called == name and waiting:
            waiting.pop()()

    return listen
