"""Images for agents: one credit of a receipt each, held before the model runs."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from random import Random

from sqlalchemy import select

from creditapp import ledger
from creditapp.agents.models import Settlement
from creditapp.agents.receipts import Receipt
from creditapp.agents.refusals import CreditsExhausted, Refunded
from creditapp.agents.settlement import WALLET
from creditapp.catalog import Catalog
from creditapp.db import reading, snapshot, transaction
from creditapp.errors import ValidationFailed
from creditapp.generation import GenerationResult, deletion, find, submit
from creditapp.generation.funding import Caller, ReceiptWallet
from creditapp.generation.models import Generation
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.guests import Visitor
from creditapp.ledger import AccountFrozen, InsufficientCredits
from creditapp.payments.sweeps import run_each
from creditapp.services import get

_NOBODY = Visitor("", ())


@dataclass(frozen=True)
class ImageWish:
    """The image to make: described by a prompt, or of a subject of the catalog."""

    prompt: str | None = None
    name: str | None = None
    """Without a prompt and a name the image is of one of the subjects, drawn by the key."""


def order_image(receipt: Receipt, wish: ImageWish, *, key: str, now: datetime) -> GenerationResult:
    """Hold one credit of a receipt and order an image. Owns its transaction.

    The same ``key`` of the same receipt returns the first generation. Raises ``CreditsExhausted``,
    ``Refunded``, ``ValidationFailed`` for a name that is no subject, and what ``submit`` raises.
    """
    by = caller_of(receipt)
    order = ImageOrder(prompt=_prompt(receipt, wish, key), model=get(Catalog).agents.model)
    try:
        return submit(order, by, key=key, now=now)
    except InsufficientCredits:
        raise CreditsExhausted("Buy more credits at /api/images/buy.") from None
    except AccountFrozen:
        raise Refunded("The unused credits of this receipt were paid back.") from None


def check(wish: ImageWish) -> None:
    """Raise what makes a wish impossible, before anything is paid for it.

    That is ``ValidationFailed``, or pydantic's ``ValidationError``.
    """
    agents = get(Catalog).agents
    prompt = wish.prompt
    if prompt is None:
        prompt = _portrait(agents.subjects[0] if wish.name is None else wish.name)
    ImageOrder(prompt=prompt, model=agents.model)


def find_image(receipt: Receipt, generation_id: str) -> GenerationResult:
    """Return an image of the receipt as it is now."""
    return find(reading(), generation_id, caller_of(receipt))


def new_key() -> str:
    """Return a key for a request that came without one, by which it can be repeated."""
    return secrets.token_hex(16)


def caller_of(receipt: Receipt) -> Caller:
    """Return the caller that a receipt stands for."""
    wallet_id = ledger.find_wallet(reading().connection(), WALLET, receipt.request.id)
    assert wallet_id is not None  # made with the settlement
    return Caller(None, _NOBODY, receipt=ReceiptWallet(receipt.request.id, wallet_id))


def forget_ended(*, now: datetime) -> None:
    """Delete the images and prompts of receipts that have ended, which nobody can fetch any more.

    Owns its transactions; the sweep of deletions erases the files.
    """
    query = (
        select(Generation.owner_id)
        .join(Settlement, Settlement.payment_request_id == Generation.owner_id)
        .where(
            Generation.owner_kind == WALLET,
            Generation.deleted_at.is_(None),
            Settlement.expires_at <= now,
        )
        .distinct()
    )
    with snapshot() as session:
        ended = session.scalars(query.limit(1000)).all()
    run_each(ended, _forget, "images of a receipt not deleted")


def _forget(request_id: str) -> None:
    with transaction() as session:
        deletion.delete_all(session, request_id, WALLET)


def _prompt(receipt: Receipt, wish: ImageWish, key: str) -> str:
    if wish.prompt is not None:
        return wish.prompt
    name = wish.name
    if name is None:
        subjects = get(Catalog).agents.subjects
        # The same for a repeated request.
        name = Random(f"{receipt.request.id}:{key}").choice(subjects)  # noqa: S311  # no secret
    return _portrait(name)


def _portrait(name: str) -> str:
    subjects = get(Catalog).agents.subjects
    if name not in subjects:
        raise ValidationFailed.of("name", f"name is one of {', '.join(subjects)}.")
    return f"A portrait of {name}, as a painter of their time would have made it."
