"""A cast to play with: people, pictures and purchases, made through the same verbs as by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from creditapp import accounts
from creditapp.accounts import AccountRules, EmailTaken, User
from creditapp.clock import now
from creditapp.config import Settings, SettingsInvalid
from creditapp.db import transaction
from creditapp.errors import AppError
from creditapp.generation import submit, worker
from creditapp.generation.funding import Caller
from creditapp.generation.orders import ImageOrder
from creditapp.guests import Visitor
from creditapp.payments.purchases import checkout
from creditapp.payments.stripe.server import EmbeddedSandbox
from creditapp.services import get

PASSWORD = "correct horse battery"  # noqa: S105  # printed for everybody who seeds a demo

PICTURES = {
    "alice@example.com": (
        ("The harbour at dusk in flat colour, like a screen print", "flux-dev", 2),
        ("Cut paper canyon, seen from above, a small sun at the bottom", "nano-banana-pro", 1),
        ("A shop sign that says OPEN LATE, hand painted", "nano-banana", 1),
    ),
    "bob@example.com": (("A fox asleep under birches in the first snow", "nano-banana", 4),),
    "charlie@example.com": (),
}
PACKS = {"alice@example.com": "creator", "bob@example.com": "starter"}


def seed() -> Iterator[str]:
    """Make the cast; yield a line for people after each of them. Running it again adds nobody.

    Raises ``SettingsInvalid`` outside the demo: it buys with the sandbox's cards.
    """
    if not get(Settings).sandbox:
        raise SettingsInvalid("CREDITAPP_ENV: the cast lives in the demo only, on its sandbox.")
    for email, pictures in PICTURES.items():
        person = _person(email)
        if person is None:
            yield f"{email} is here already"
            continue
        if email in PACKS:
            _buy(person, PACKS[email])
        for prompt, model, n in pictures:
            _make(Caller(person, _nobody()), prompt, model, n)
        yield f"{email} with the password {PASSWORD!r}"
    _make(Caller(None, Visitor("seeded-guest", "seeded-network")), "A lighthouse at night", "", 1)
    yield "a guest with one picture"


def _person(email: str) -> User | None:
    new = accounts.prepare_account(email, PASSWORD, email.partition("@")[0].capitalize())
    try:
        with transaction() as session:
            return accounts.sign_up(session, new, get(AccountRules), now=now()).user
    except EmailTaken:
        return None


def _buy(person: User, pack_id: str) -> None:
    """Buy a pack and play the bank: fill in the sandbox's own page with the card that works."""
    purchase = checkout.start(checkout.Order(pack_id, ""), person, key=f"seed:{pack_id}")
    page = f"/pay/{purchase.checkout_id}"
    bank = get(EmbeddedSandbox).sandbox.test_client()
    form = dict(re.findall(r'name="([a-z_]+)"[^>]*value="([^"]*)"', bank.get(page).text))
    cards = re.findall(r'name="card"[^>]*value="([^"]*)"', bank.get(page).text)
    bank.post(page, data={**form, "card": cards[0], "email": person.email})
    checkout.sync(purchase.id)


def _make(by: Caller, prompt: str, model: str, n: int) -> None:
    order = ImageOrder(prompt=prompt, model=model or None, n=n)
    try:
        with transaction() as session:
            made = submit.submit(session, order, by, key=f"seed:{order.digest()[:32]}")
    except AppError:
        return  # the guest's free pictures are used up: the cast has been here before
    if not made.replayed:
        worker.run(f"{made.generation.id}.{made.generation.attempt}")


def _nobody() -> Visitor:
    return Visitor("seeded", "seeded")
