"""Several models at once: one transaction holds every price, and all are made or none."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from flask import Flask

from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import AuthenticationRequired, IdempotencyKeyReused
from creditapp.generation import Caller, PriceRose, queries, submit_batch
from creditapp.generation.models import Generation
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.guests import Visitor
from creditapp.http.sessions import find_member
from creditapp.ledger import InsufficientCredits
from tests.app_factory import Person
from tests.generation.studio import Scripted, Studio, lines, wallet

pytestmark = pytest.mark.databases("sqlite", "postgresql")

THREE = ("flux-dev", "nano-banana-pro", "gpt-image")  # 1 + 2 + 2


def orders(*models: str, prompt: str = "a quay", n: int = 1) -> list[ImageOrder]:
    return [ImageOrder(prompt=prompt, model=model, n=n) for model in models]


def caller(person: Person) -> Caller:
    """Return the member behind a browser; in an app context."""
    with person.browser.session_transaction() as session:
        session_id = session["_user_id"]
    with transaction() as database:
        return Caller(find_member(database, session_id), Visitor("tests", ()))


def compare(
    app: Flask,
    person: Person,
    wanted: Sequence[ImageOrder],
    key: str = "k1",
    limit_micro: int | None = None,
) -> list[Generation]:
    """Submit the orders as one batch; return its generations."""
    with app.app_context():
        results = submit_batch(
            wanted, caller(person), key=key, now=now(), price_limit_micro=limit_micro
        )
        return [result.generation for result in results]


def test_each_model_makes_its_own_and_is_charged_its_own_price(
    app: Flask, alice: Person, studio: Studio
) -> None:
    batch = compare(app, alice, orders(*THREE))
    assert [each.model for each in batch] == list(THREE)
    assert [each.quoted_micro for each in batch] == [1_000_000, 2_000_000, 2_000_000]
    assert len({each.batch_id for each in batch}) == 1
    assert str(batch[0].batch_id).startswith("bat_")
    assert wallet(alice) == (45, 5)
    studio.queue.run()
    assert wallet(alice) == (45, 0)
    assert sorted(lines(alice), key=str) == [("DEBIT", -1), ("DEBIT", -2), ("DEBIT", -2)]
    studio.check()


def test_one_failure_is_not_charged_and_the_others_are(
    app: Flask, alice: Person, studio: Studio, provider: Scripted
) -> None:
    batch = compare(app, alice, orders(*THREE))
    studio.work(batch[0].id)
    provider.script = [RuntimeError("the vendor fell over")]
    studio.work(batch[1].id)
    provider.script = None
    studio.work(batch[2].id)
    states = [studio.generation(each.id).state for each in batch]
    assert states == ["succeeded", "failed", "succeeded"]
    assert wallet(alice) == (47, 0)
    studio.check()


def test_too_little_credit_for_the_last_holds_nothing(
    app: Flask, alice: Person, studio: Studio
) -> None:
    studio.queue.run()
    before = len(studio.generations())
    costly = [
        *orders("flux-dev", "nano-banana-pro", n=4),
        ImageOrder(prompt="a quay", model="gpt-image", quality="high", n=4),
        ImageOrder(prompt="a quay", model="gpt-image", quality="high", n=2),
    ]
    with pytest.raises(InsufficientCredits) as refusal:
        compare(app, alice, costly)
    # Of the whole batch, not of the order at which the credits ended.
    assert (refusal.value.required_micro, refusal.value.balance_micro) == (60_000_000, 50_000_000)
    assert refusal.value.shortfall_micro == 10_000_000
    assert wallet(alice) == (50, 0)
    assert len(studio.generations()) == before
    assert studio.queue.run() == 0
    # Nothing remembers the refusal: a smaller batch may use the key.
    assert len(compare(app, alice, costly[:2])) == 2
    studio.queue.run()
    studio.check()


def test_the_same_key_returns_what_the_first_request_made(
    app: Flask, alice: Person, studio: Studio
) -> None:
    first = compare(app, alice, orders(*THREE))
    again = compare(app, alice, orders(*THREE))
    assert [each.id for each in again] == [each.id for each in first]
    assert wallet(alice) == (45, 5)
    for other in (orders(*THREE, prompt="a ship"), orders(*THREE[:2]), orders(*THREE, "flux-dev")):
        with pytest.raises(IdempotencyKeyReused):
            compare(app, alice, other)
    assert wallet(alice) == (45, 5)
    studio.queue.run()
    studio.check()


def test_two_clicks_at_the_same_moment_make_one_batch(
    app: Flask, alice: Person, studio: Studio
) -> None:
    with app.app_context():
        by = caller(alice)
    barrier, batches = threading.Barrier(4), []

    def click() -> None:
        with app.app_context():
            barrier.wait()
            results = submit_batch(orders(*THREE), by, key="k1", now=now())
            batches.append([result.generation.id for result in results])

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(batches) == 4
    assert all(batch == batches[0] for batch in batches)
    assert wallet(alice) == (45, 5)
    studio.queue.run()
    studio.check()


def test_two_batches_at_the_same_moment_never_spend_more_than_the_balance(
    app: Flask, alice: Person, studio: Studio
) -> None:
    with app.app_context():
        by = caller(alice)
    barrier, made, refused = threading.Barrier(4), [], []

    def click(number: int) -> None:
        wanted = [  # 18 of 50, so two fit
            ImageOrder(prompt=f"quay {number}", model="gpt-image", quality="high", n=2),
            ImageOrder(prompt=f"quay {number}", model="flux-dev", n=2),
        ]
        with app.app_context():
            barrier.wait()
            try:
                made.append(submit_batch(wanted, by, key=f"k{number}", now=now()))
            except InsufficientCredits:
                refused.append(number)

    threads = [threading.Thread(target=click, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (2, 2)
    assert wallet(alice) == (14, 36)
    studio.queue.run()
    studio.check()


def test_a_higher_sum_than_was_seen_is_refused(app: Flask, alice: Person, studio: Studio) -> None:
    with pytest.raises(PriceRose, match="The price is 5 credits"):
        compare(app, alice, orders(*THREE), limit_micro=4_999_999)
    assert wallet(alice) == (50, 0)
    assert len(compare(app, alice, orders(*THREE), limit_micro=5_000_000)) == 3
    studio.queue.run()
    studio.check()


def test_guests_do_not_compare(app: Flask, studio: Studio) -> None:
    with app.app_context(), pytest.raises(AuthenticationRequired):
        submit_batch(orders(*THREE), Caller(None, Visitor("tests", ())), key="k1", now=now())


def test_a_batch_is_listed_in_its_order(app: Flask, alice: Person, studio: Studio) -> None:
    batch = compare(app, alice, orders("gpt-image", "flux-dev"))
    with app.app_context():
        listed = queries.list_batch(reading(), caller(alice), batch[0].batch_id)
        assert [each.model for each in listed] == ["gpt-image", "flux-dev"]
        stranger = Caller(None, Visitor("somebody", ()))
        assert queries.list_batch(reading(), stranger, batch[0].batch_id) == []
    studio.queue.run()
    studio.check()
