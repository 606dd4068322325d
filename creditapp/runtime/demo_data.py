"""Demo data, created through the same functions the app uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from creditapp import accounts, chat, credentials, features
from creditapp.accounts import AccountRules, EmailTaken, Member, Network, User
from creditapp.catalog import Catalog
from creditapp.chat import ChatMessage, ChatOrder
from creditapp.clock import now
from creditapp.config import Settings, SettingsInvalid
from creditapp.db import transaction
from creditapp.features import OperatorGrant
from creditapp.generation import Caller, submit, worker
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.guests import GuestLimitReached, Visitor
from creditapp.payments.purchases import checkout, packs
from creditapp.payments.stripe.server import SandboxGateway
from creditapp.services import get

PASSWORD = "correct horse battery"  # noqa: S105  # printed by ./run seed

IMAGES = {
    "alice@example.com": (
        ("The harbour at dusk in flat colour, like a screen print", "flux-dev", 2),
        ("Cut paper canyon, seen from above, a small sun at the bottom", "nano-banana-pro", 1),
        ("A shop sign that says OPEN LATE, hand painted", "nano-banana", 1),
    ),
    "bob@example.com": (("A fox asleep under birches in the first snow", "nano-banana", 4),),
    "charlie@example.com": (),
}
CHATS: dict[str, tuple[tuple[str, ...], ...]] = {
    "alice@example.com": (
        ("Explain compound interest to a ten-year-old.", "And what is inflation?"),
        ("Write a short, friendly reminder that an invoice is due.",),
    ),
    "bob@example.com": (("Compare three ways to learn a language, as a table.",),),
}
"""Questions of each conversation."""
BUYERS = {"alice@example.com": 1, "bob@example.com": 0}
"""The pack of each, counted from the cheapest; without packs they are given ``GIFT_MICRO``."""
GIFT_MICRO = 20_000_000


def seed() -> Iterator[str]:
    """Create the demo's users with images, chats and purchases; yield a line of text for each.

    Idempotent. Raises ``SettingsInvalid`` outside the demo: it buys with the sandbox's cards.
    """
    if not get(Settings).sandbox:
        raise SettingsInvalid(
            "CREDITAPP_ENV: demo data can be created in the demo only, on its sandbox."
        )
    for email, images in IMAGES.items():
        user = _sign_up(email)
        if user is None:
            yield f"{email} has an account already"
            continue
        if email in BUYERS:
            _pay_by_credits(user, BUYERS[email])
        for prompt, model, n in images:
            _generate(Caller(_member(user), _visitor()), prompt, model, n)
        for questions in CHATS.get(email, ()) if get(Catalog).operation("chat") else ():
            _talk(_member(user), questions)
        yield f"{email} with the password {PASSWORD!r}"
    try:
        guest = Caller(None, Visitor("seeded-guest", (Network("seeded-network"),)))
        _generate(guest, "A lighthouse at night", "", 1)
    except GuestLimitReached:
        yield "the guest has used the free images already"
    else:
        yield "a guest with one image"


def _sign_up(email: str) -> User | None:
    new_account = accounts.prepare_account(email, PASSWORD, email.partition("@")[0].capitalize())
    try:
        with transaction() as session:
            return accounts.sign_up(session, new_account, get(AccountRules), now=now()).user
    except EmailTaken:
        return None


def _pay_by_credits(user: User, position: int) -> None:
    """Let a user pay with credits, and have some: of a pack, or a gift where none is sold."""
    for_sale = sorted(get(Catalog).packs, key=lambda pack: pack.price_minor)
    with transaction() as session:
        credentials.choose_mode(session, user.id, "credits")
        if not for_sale:
            gift = OperatorGrant(
                user_id=user.id, amount_micro=GIFT_MICRO, reason="Demo data", key=f"seed:{user.id}"
            )
            features.grants.give(session, gift, now=now())
    if for_sale:
        _buy(user, for_sale[position].id)


def _buy(buyer: User, pack_id: str) -> None:
    """Buy a pack and pay on the sandbox's page with the card that succeeds."""
    purchase = packs.start_checkout(packs.Order(pack_id, ""), buyer, key=f"seed:{pack_id}")
    page = f"/pay/{purchase.checkout_id}"
    sandbox = get(SandboxGateway).sandbox.test_client()
    form = dict(re.findall(r'name="([a-z_]+)"[^>]*value="([^"]*)"', sandbox.get(page).text))
    cards = re.findall(r'name="card"[^>]*value="([^"]*)"', sandbox.get(page).text)
    sandbox.post(page, data={**form, "card": cards[0], "email": buyer.email})
    checkout.sync_purchase(purchase.id)


def _generate(caller: Caller, prompt: str, model: str, n: int) -> None:
    """Make images; with the default model where the catalog has not this one."""
    is_sold = any(each.id == model for each in get(Catalog).models)
    order = ImageOrder(prompt=prompt, model=model if is_sold else None, n=n)
    submission = submit(order, caller, key=f"seed:{order.digest()[:32]}", now=now())
    if not submission.replayed:
        generation = submission.generation
        worker.run(f"{generation.id}.{generation.attempt}")


def _talk(member: Member, questions: Sequence[str]) -> None:
    """Ask the questions of one conversation, each once the one before is answered."""
    conversation_id: str | None = None
    for question in questions:
        order = ChatOrder(
            source="chat", messages=[ChatMessage("user", question)], conversation_id=conversation_id
        )
        turn = chat.start(order, member, key=f"seed:{order.digest()[:32]}", now=now())
        turn.wait()
        conversation_id = turn.record.conversation_id


def _member(user: User) -> Member:
    return Member(
        id=user.id,
        email=user.email,
        is_admin=user.is_admin,
        verified=user.verified,
        low_balance_micro=user.low_balance_micro,
        session_id="",
        last_seen_at=user.created_at,
        wallet_id=None,
        topup_below_micro=None,
    )


def _visitor() -> Visitor:
    return Visitor("seeded", (Network("seeded"),))
