"""ShopApp: the whole app with its payment sandbox, and helpers for buyers, bank and webhooks.

The app talks to the sandbox over loopback HTTP through the real gateway. Events wait in the sandbox
until a test delivers them, once, twice, late or never, signed like Stripe's.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from creditapp import accounts, ledger
from creditapp.accounts import AccountRules, User
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.emails import ABOUT_MONEY, Email
from creditapp.ledger.models import Grant
from creditapp.payments import webhooks
from creditapp.payments.purchases import checkout, packs
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.packs import Order
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.server import SandboxGateway
from creditapp.payments.webhooks import StripeEvent
from creditapp.services import get, provide
from creditapp.stripe_sandbox.deliveries import signature
from creditapp.stripe_sandbox.state import State
from tests.app_factory import Person, get_clock
from tests.flaky_gateway import FlakyGateway

T = TypeVar("T")
Json = dict[str, Any]
PASSWORD = "correct horse battery"
CREATOR = 110
COMPLETED = "checkout.session.completed"


class ShopApp:
    """One app on one database, with the actions of buyers, bank and operator."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with app.app_context():
            self.settings = get(Settings)
            self.gateway = get(SandboxGateway)
            self.clock = get_clock()
        self.url = self.settings.database_url
        self.secret = self.settings.webhook_secret
        # The sandbox uses the real time, and a checkout may not end later than in a day.
        self.set_clock()
        self.flaky_gateway = FlakyGateway(self.gateway)
        provide(app, StripeGateway, self.flaky_gateway)

    def set_clock(self) -> None:
        """Set the app's stopped clock to the real time."""
        self.clock.advance(datetime.now(UTC) - self.clock.now())

    # --- people and purchases ---

    def member(self, email: str = "") -> User:
        """Return a user with a new account and its welcome credits."""
        email = email or f"{secrets.token_hex(6)}@example.com"
        with self.app.app_context():
            new = accounts.prepare_account(email, PASSWORD)
            with transaction() as session:
                return accounts.sign_up(session, new, get(AccountRules), now=now()).user

    def person(self) -> Person:
        """Return a new user with a browser, signed in."""
        return Person(self.app).open_account(f"{secrets.token_hex(6)}@example.com")

    def user_of(self, person: Person) -> User:
        """Return the user who is signed in with a browser."""
        with self.app.app_context(), snapshot() as session:
            user = accounts.find_by_email(session, person.email)
        assert user is not None
        return user

    def start_checkout(
        self, buyer: User, pack: str = "creator", key: str | None = None
    ) -> Purchase:
        """Start a purchase."""
        with self.app.app_context():
            shown = get(Catalog).digest
            return packs.start_checkout(Order(pack, shown), buyer, key=key or secrets.token_hex(8))

    def buy_and_pay(self, buyer: User, pack: str = "creator") -> Purchase:
        """Buy a pack, pay and sync."""
        purchase = self.start_checkout(buyer, pack)
        self.pay(purchase)
        return self.sync(purchase)

    def sync(self, purchase: Purchase, **more: Any) -> Purchase:
        """Sync a purchase, as the return page does."""
        with self.app.app_context():
            return checkout.sync_purchase(purchase.id, **more)

    def sweep(self, after: timedelta = timedelta(0)) -> None:
        """Advance the clock and run the sweeps."""
        self.clock.advance(after)
        with self.app.app_context():
            webhooks.sweep_events()
            checkout.sweep_purchases()

    def row(self, purchase: Purchase) -> Purchase:
        """Return the purchase as it is stored now."""
        with self.app.app_context(), snapshot() as session:
            return session.get_one(Purchase, purchase.id)

    def purchases(self, buyer: User) -> list[Purchase]:
        """Return all purchases of a buyer."""
        with self.app.app_context(), snapshot() as session:
            return list(session.scalars(select(Purchase).where(Purchase.user_id == buyer.id)))

    def emails_sent(self, buyer: User) -> list[str]:
        """Return the events of the emails about money queued for a buyer, in order."""
        query = select(Email.event).where(Email.user_id == buyer.id, Email.event.in_(ABOUT_MONEY))
        with self.app.app_context(), snapshot() as session:
            return list(session.scalars(query.order_by(Email.created_at, Email.id)))

    # --- the bank ---

    def press(self, path: str, **form: str) -> TestResponse:
        """Post a form of the sandbox's pages, with its token."""
        token = State.of(self.gateway.sandbox).form_token()
        return self.gateway.sandbox.test_client().post(path, data={"token": token, **form})

    def pay(self, purchase: Purchase, card: str = "succeeds") -> TestResponse:
        """Pay on the checkout's page."""
        checkout_id = self.row(purchase).checkout_id
        return self.press(f"/pay/{checkout_id}", card=card, email="alice@example.com")

    def session(self, purchase: Purchase) -> Json:
        """Return the sandbox's checkout of a purchase."""
        checkout_id = self.row(purchase).checkout_id
        if checkout_id is None:
            (found,) = self.sessions(purchase)
            return found
        with State.of(self.gateway.sandbox).transaction() as books:
            return books.get("checkout.session", checkout_id) or {}

    def sessions(self, purchase: Purchase) -> list[Json]:
        """Return every checkout that carries the purchase's id."""
        query = "SELECT body FROM objects WHERE kind = 'checkout.session' AND body LIKE ?"
        with State.of(self.gateway.sandbox).transaction() as books:
            rows = books.connection.execute(query, (f"%{purchase.id}%",)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def change_session(self, purchase: Purchase, **fields: Any) -> None:
        """Change fields of the sandbox's checkout session."""
        session = self.session(purchase)
        with State.of(self.gateway.sandbox).transaction() as books:
            books.put(session | fields)

    def payment_intent_id(self, purchase: Purchase) -> str:
        """Return the id of the purchase's payment intent."""
        return str(self.session(purchase)["payment_intent"])

    def refund(self, purchase: Purchase, amount: str = "") -> str:
        """Refund at the bank; return the refund's id."""
        self.press(f"/payments/{self.payment_intent_id(purchase)}/refund", amount=amount)
        return self._newest("refund", purchase)

    def dispute(self, purchase: Purchase) -> str:
        """Dispute the payment; return the dispute's id."""
        self.press(f"/payments/{self.payment_intent_id(purchase)}/dispute")
        return self._newest("dispute", purchase)

    def _newest(self, kind: str, purchase: Purchase) -> str:
        where = {"payment_intent": self.payment_intent_id(purchase)}
        with State.of(self.gateway.sandbox).transaction() as books:
            return str(books.find(kind, where, limit=1)[0]["id"])

    # --- webhooks ---

    def events(self, purchase: Purchase, *kinds: str) -> list[Json]:
        """Return the events about a purchase, the oldest first."""
        intent = self.session(purchase)["payment_intent"]
        query = "SELECT body FROM objects WHERE kind = 'event' AND (body LIKE ? OR body LIKE ?)"
        with State.of(self.gateway.sandbox).transaction() as books:
            rows = books.connection.execute(
                f"{query} ORDER BY seq", (f"%{purchase.id}%", f"%{intent or purchase.id}%")
            ).fetchall()
        found = [json.loads(row[0]) for row in rows]

        def about(event: Json) -> bool:
            thing = event["data"]["object"]
            mark = (thing.get("metadata") or {}).get("purchase_id")
            return mark == purchase.id or (
                intent and intent in (thing.get("payment_intent"), thing["id"])
            )

        return [e for e in found if about(e) and (not kinds or e["type"] in kinds)]

    def event(self, purchase: Purchase, kind: str) -> Json:
        """Return the one event of a type about a purchase."""
        (found,) = self.events(purchase, kind)
        return found

    def send(self, event: Json, path: str = "/api/webhooks/stripe") -> TestResponse:
        """Deliver an event, signed."""
        payload = json.dumps(event, indent=2, ensure_ascii=False)
        return self.post(payload, signature(payload, self.secret), path)

    def post(
        self, payload: str, signed: str | None, path: str = "/api/webhooks/stripe"
    ) -> TestResponse:
        """Post a body with a signature to the webhook's address."""
        headers = {"Stripe-Signature": signed} if signed is not None else {}
        return self.app.test_client().post(
            path, data=payload.encode(), content_type="application/json", headers=headers
        )

    def deliver(self, purchase: Purchase, *kinds: str) -> None:
        """Deliver all events about a purchase, in order; each must be accepted."""
        for event in self.events(purchase, *kinds):
            assert self.send(event).status_code == 200, event["type"]

    def stored_event(self, event: Json) -> StripeEvent | None:
        """Return the stored event, or None."""
        with self.app.app_context(), snapshot() as session:
            return session.get(StripeEvent, event["id"])

    # --- the ledger ---

    def balance(self, buyer: User) -> ledger.Balance:
        """Return a buyer's balance."""
        with self.app.app_context(), snapshot() as session:
            connection = session.connection()
            wallet_id = ledger.find_wallet(connection, "user", buyer.id)
            assert wallet_id is not None
            return ledger.balance(connection, wallet_id, now=now())

    def credits(self, buyer: User) -> float:
        """Return a buyer's available credits, less the welcome credits."""
        return self.balance(buyer).available_micro / 1_000_000 - 50

    def spend(self, buyer: User, count: int) -> None:
        """Spend credits."""
        with self.app.app_context(), transaction() as session:
            connection = session.connection()
            wallet_id = ledger.ensure_wallet(connection, "user", buyer.id, now=now())
            ledger.spend(
                connection,
                wallet_id,
                ledger.NewCharge(
                    amount_micro=count * 1_000_000,
                    key=f"test:{secrets.token_hex(8)}",
                    digest="",
                    operation="text-to-image",
                    actor=buyer.id,
                ),
                now=now(),
            )

    def count_grants(self, purchase: Purchase) -> int:
        """Return how many grants a purchase has."""
        with self.app.app_context(), snapshot() as session:
            query = select(func.count()).where(Grant.origin == f"purchase:{purchase.id}")
            return session.execute(query).scalar_one()

    def check_ledger(self) -> None:
        """Fail unless every invariant of the ledger holds."""
        with self.app.app_context(), snapshot() as session:
            report = ledger.proof.check(session.connection())
        assert report.ok, report.as_text()

    def at_once(self, *acts: Callable[[], T]) -> list[T | Exception]:
        """Run actions in threads that start together, within the app."""
        barrier = threading.Barrier(len(acts))

        def one(act: Callable[[], T]) -> T | Exception:
            with self.app.app_context():
                barrier.wait()
                try:
                    return act()
                except Exception as error:
                    return error

        with ThreadPoolExecutor(len(acts)) as pool:
            return list(pool.map(one, acts))


def values(rows: Sequence[T | Exception]) -> list[T]:
    """Return the results of threads; raise the first error."""
    for row in rows:
        if isinstance(row, Exception):
            raise row
    return [row for row in rows if not isinstance(row, Exception)]
