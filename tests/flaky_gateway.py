"""FlakyGateway: a gateway whose calls a test can count, fail or interrupt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError


class FlakyGateway:
    """The real gateway, with hooks before and after each call."""

    def __init__(self, gateway: StripeGateway) -> None:
        self._gateway = gateway
        self.calls = Counter[str]()
        self.before: Callable[[str], None] = lambda name: None
        self.after: Callable[[str], None] = lambda name: None

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._gateway, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            self.before(name)
            answer = attribute(*args, **kwargs)
            self.after(name)
            return answer

        return call


def cut(name: str) -> Callable[[str], None]:
    """Return a hook that fails calls of one method, as a lost connection does."""

    def fail(called: str) -> None:
        if called == name:
            raise GatewayError("Stripe: no answer", permanent=False)

    return fail


def on_first_call(name: str, action: Callable[[], object]) -> Callable[[str], None]:
    """Return a hook that runs an action at the first call of one method."""
    waiting = [action]

    def listen(called: str) -> None:
        if called == name and waiting:
            waiting.pop()()

    return listen
