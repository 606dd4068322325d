"""Payment requests that are paid by card in the payment sandbox."""

from __future__ import annotations

import json
from typing import Any

from creditapp.agents import checkout, payment
from creditapp.clock import now
from creditapp.stripe_sandbox.state import State
from tests.agents.conftest import AgentShop
from tests.agents.test_buy import claims_of
from tests.shop_app import ShopApp


class StripeShop(AgentShop):
    """The shop for agents with its bank: pages, payments, events, disputes."""

    def __init__(self, bank: ShopApp) -> None:
        super().__init__(bank.app)
        self.bank = bank

    def new_page(self, count: int = 3) -> tuple[str, str]:
        """Ask for credits and open the page; return the token and the request's id."""
        token = self.token(count)
        request_id = str(claims_of(token)["id"])
        opened = self.post(f"/api/payment-requests/{request_id}/checkout")
        assert opened.status_code == 200, opened.text
        assert opened.json["url"]
        return token, request_id

    def pay_page(self, request_id: str) -> None:
        """Pay on the page, with a card."""
        checkout_id = self.request_row(request_id).checkout_id
        paid = self.bank.press(f"/pay/{checkout_id}", card="succeeds", email="agent@example.com")
        assert paid.status_code == 303, paid.text

    def events(self, request_id: str) -> list[dict[str, Any]]:
        """Return the events of a request and of its payment, the oldest first."""
        payment_id = self.page(request_id)["payment_intent"] or request_id
        with State.of(self.bank.gateway.sandbox).transaction() as books:
            rows = books.connection.execute(
                "SELECT body FROM objects WHERE kind = 'event' AND (body LIKE ? OR body LIKE ?)"
                " ORDER BY seq",
                (f"%{request_id}%", f"%{payment_id}%"),
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def page(self, request_id: str) -> dict[str, Any]:
        """Return the page as the sandbox stores it."""
        checkout_id = self.request_row(request_id).checkout_id
        assert checkout_id is not None
        with State.of(self.bank.gateway.sandbox).transaction() as books:
            return dict(books.get("checkout.session", checkout_id) or {})

    def deliver(self, request_id: str) -> None:
        """Deliver every event about a request."""
        for event in self.events(request_id):
            assert self.bank.send(event).status_code == 200, event["type"]

    def refunds(self, request_id: str) -> list[int]:
        """Return the amounts that the bank has paid back of a request's payment."""
        where = {"payment_intent": self.page(request_id)["payment_intent"]}
        with State.of(self.bank.gateway.sandbox).transaction() as books:
            return [int(each["amount"]) for each in books.find("refund", where, limit=9)]

    def sync(self, request_id: str) -> None:
        """Sync a request, as the sweep does."""
        with self.app.app_context():
            checkout.sync(request_id)

    def sweep(self) -> None:
        """Run the sweep."""
        with self.app.app_context():
            payment.sweep(now=now())
