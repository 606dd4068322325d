"""What spends, holds, captures, releases and refunds do to a person's credits."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, text

from creditapp import ledger
from creditapp.errors import NotFound
from creditapp.ledger import outbox
from tests.ledger.cast import DAY, START, Person


def test_a_spend_takes_credits_and_says_so_in_the_history(alice: Person) -> None:
    alice.gets(100)
    charge = alice.spends(30, note="a red fox")
    assert (charge.state, charge.captured_micro, charge.available_micro) == ("captured", 30, 70)
    line = alice.lines()[0]
    assert line.id == charge.entry_id
    assert (line.type, line.amount_micro, line.balance_after_micro) == ("DEBIT", -30, 70)
    assert (line.operation, line.note) == ("image", "a red fox")


def test_the_same_key_spends_once(alice: Person) -> None:
    alice.gets(100)
    first = alice.spends(30, key="generation:1")
    again = alice.spends(30, key="generation:1")
    assert (again.id, again.entry_id, again.replayed) == (first.id, first.entry_id, True)
    assert alice.available() == 70


def test_the_same_key_answers_even_when_nothing_is_left(alice: Person) -> None:
    alice.gets(30)
    alice.spends(30, key="generation:1")
    assert alice.spends(30, key="generation:1").replayed


def test_the_same_key_for_another_request_is_refused(alice: Person) -> None:
    alice.gets(100)
    alice.spends(30, key="generation:1")
    with pytest.raises(ledger.IdempotencyKeyReused):
        alice.spends(30, key="generation:1", digest="another")
    assert alice.available() == 70


def test_two_people_may_use_the_same_key(alice: Person, bob: Person) -> None:
    for person in (alice, bob):
        person.gets(10)
        assert not person.spends(10, key="generation:1").replayed


def test_too_little_is_refused_with_the_numbers(alice: Person) -> None:
    alice.gets(1_500_000)
    with pytest.raises(ledger.InsufficientCredits) as refusal:
        alice.spends(2_000_000)
    assert (refusal.value.status, refusal.value.code) == (402, "insufficient_credits")
    assert str(refusal.value.fields["balance"]) == "1.5"
    assert str(refusal.value.fields["required"]) == "2"
    assert str(refusal.value.fields["shortfall"]) == "0.5"


def test_after_a_refusal_the_transaction_can_go_on(alice: Person) -> None:
    alice.gets(10, scope="video")
    alice.gets(5)
    with pytest.raises(ledger.InsufficientCredits):
        alice.spends(8, "image", key="generation:1")
    alice.gets(10)
    assert not alice.spends(8, "image", key="generation:1").replayed
    assert alice.available() == 17


def test_a_spend_outside_a_transaction_is_refused(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(RuntimeError, match="transaction"):
        ledger.spend(connection, 1, 1, key="k", digest="d", operation="image", now=START)


def test_an_unknown_wallet_is_not_found(connection: Connection) -> None:
    with pytest.raises(NotFound):
        ledger.spend(connection, 404, 1, key="k", digest="d", operation="image", now=START)
    with pytest.raises(NotFound):
        ledger.balance(connection, 404, now=START)
    with pytest.raises(NotFound):
        ledger.capture(connection, 404, 1, now=START)


def test_a_plans_month_goes_before_a_gift_without_an_end_and_a_pack_last(alice: Person) -> None:
    pack = alice.buys(10)
    welcome = alice.gets(10, source="welcome")
    month = alice.gets(10, source="subscription", expires_at=START + 40 * DAY)
    promotion = alice.gets(10, source="promotion", expires_at=START + 2 * DAY)
    for spent in (promotion, month, welcome, pack):
        alice.spends(10)
        assert alice.grant(spent.id).remaining_micro == 0


def test_credits_are_spent_by_priority_then_expiry_then_scope_then_age(alice: Person) -> None:
    last = alice.buys(10)
    by_priority = alice.gets(10, priority=5)
    sooner = alice.gets(10, priority=7, expires_at=START + DAY)
    later = alice.gets(10, priority=7, expires_at=START + 2 * DAY)
    narrow = alice.gets(10, priority=8, scope="image")
    wide = alice.gets(10, priority=8)
    wide_too = alice.gets(10, priority=8)
    used = []
    for _ in range(7):
        alice.spends(10)
        used += [
            grant.id
            for grant in (last, by_priority, sooner, later, narrow, wide, wide_too)
            if alice.grant(grant.id).remaining_micro == 0 and grant.id not in used
        ]
    order = (by_priority, sooner, later, narrow, wide, wide_too, last)
    assert used == [grant.id for grant in order]


def test_a_charge_may_take_from_many_grants(alice: Person, connection: Connection) -> None:
    for _ in range(5):
        alice.gets(10)
    charge = alice.spends(42)
    rows = connection.execute(
        text(
            "SELECT offset_micro, amount_micro FROM allocations WHERE charge_id = :id ORDER BY"
            " offset_micro"
        ),
        {"id": charge.id},
    ).all()
    assert [tuple(row) for row in rows] == [(0, 10), (10, 10), (20, 10), (30, 10), (40, 2)]


def test_expired_credits_are_not_spent_though_no_sweeper_ran(alice: Person) -> None:
    alice.gets(10, expires_at=START + DAY)
    with pytest.raises(ledger.InsufficientCredits) as refusal:
        alice.spends(5, at=START + DAY)
    assert refusal.value.balance_micro == 0
    assert [line.type for line in alice.lines()] == ["EXPIRY", "CREDIT"]


def test_a_balance_subtracts_what_has_expired_without_writing(
    alice: Person, connection: Connection
) -> None:
    alice.gets(10, expires_at=START + DAY)
    alice.gets(3)
    assert alice.available(START + DAY) == 3
    assert ledger.spendable(connection, alice.wallet, "image", now=START + DAY) == 3
    assert len(alice.lines()) == 2


def test_a_hold_sets_aside_and_its_capture_keeps_what_was_used(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    balance = alice.balance()
    assert (balance.available_micro, balance.held_micro, balance.total_micro) == (60, 40, 100)
    captured = ledger.capture(alice.connection, held.id, 25, now=START)
    assert (captured.state, captured.captured_micro, captured.available_micro) == (
        "captured",
        25,
        75,
    )
    assert alice.balance().held_micro == 0
    assert alice.balance().lifetime_spent_micro == 25


def test_a_failed_generation_is_a_line_of_0(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    ledger.release(alice.connection, held.id, now=START)
    line = alice.lines()[0]
    assert (line.amount_micro, line.balance_after_micro, line.type) == (0, 100, "REFUND")
    assert alice.available() == 100


def test_capturing_nothing_is_a_release(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    assert ledger.capture(alice.connection, held.id, 0, now=START).state == "released"


def test_a_charge_ends_once(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    ledger.capture(alice.connection, held.id, 25, now=START)
    assert ledger.capture(alice.connection, held.id, 25, now=START).captured_micro == 25
    with pytest.raises(ledger.ChargeSettled):
        ledger.capture(alice.connection, held.id, 20, now=START)
    with pytest.raises(ledger.ChargeSettled):
        ledger.release(alice.connection, held.id, now=START)
    assert alice.available() == 75


def test_more_than_was_held_cannot_be_captured(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    with pytest.raises(ValueError, match="at most"):
        ledger.capture(alice.connection, held.id, 41, now=START)


def test_refunds_go_down_step_by_step(alice: Person) -> None:
    alice.gets(20)
    alice.gets(20)
    charge = alice.spends(35)
    ledger.refund(alice.connection, charge.id, down_to_micro=25, now=START)
    assert alice.available() == 15
    ledger.refund(alice.connection, charge.id, down_to_micro=30, now=START)  # it keeps less already
    assert alice.available() == 15
    ledger.refund(alice.connection, charge.id, down_to_micro=0, now=START)
    assert alice.available() == 40
    assert [line.amount_micro for line in alice.lines(["REFUND"])] == [25, 10]
    assert alice.balance().lifetime_spent_micro == 0


def test_an_open_hold_cannot_be_refunded(alice: Person) -> None:
    alice.gets(20)
    with pytest.raises(ledger.ChargeSettled):
        ledger.refund(alice.connection, alice.holds(5).id, down_to_micro=0, now=START)


def test_a_low_balance_is_told_once_when_it_is_crossed(
    alice: Person, connection: Connection
) -> None:
    alice.gets(100)
    alice.spends(80, low_micro=20)  # 20 left: not below
    assert not outbox.claim(connection, ["low_balance"], 10, now=START)
    alice.holds(1, low_micro=20)
    alice.spends(1, low_micro=20)
    (event,) = outbox.claim(connection, ["low_balance"], 10, now=START)
    assert (event.wallet_id, event.payload["available_micro"]) == (alice.wallet, 19)


def test_the_history_comes_in_pages_and_types(alice: Person) -> None:
    alice.buys(50)
    alice.gets(10, expires_at=START + DAY)
    charge = alice.spends(20)
    ledger.refund(alice.connection, charge.id, down_to_micro=15, now=START)
    ledger.expire(alice.connection, alice.wallet, now=START + DAY)
    first = ledger.statement(alice.connection, alice.wallet, now=START, limit=2)
    rest = ledger.statement(
        alice.connection, alice.wallet, now=START, limit=9, before_seq=first[-1].seq
    )
    types = [line.type for line in first + rest]
    assert types == ["REFUND", "DEBIT", "CREDIT", "PURCHASE"]
    assert [line.amount_micro for line in alice.lines(["DEBIT", "REFUND"])] == [5, -20]


def test_the_summary_says_what_expires_when(alice: Person) -> None:
    alice.buys(50)
    alice.gets(10, expires_at=START + DAY)
    alice.gets(7, "promotion", expires_at=START + DAY)
    alice.gets(5, "promotion", expires_at=START + 2 * DAY)
    alice.spends(2)
    summary = ledger.summary(alice.connection, alice.wallet, now=START)
    assert [(e.amount_micro, e.expires_at) for e in summary.expiring] == [
        (15, START + DAY),
        (5, START + 2 * DAY),
    ]
    balance = summary.balance
    assert balance.lifetime_granted_micro == 72
    assert balance.lifetime_welcome_micro == 10
    assert balance.lifetime_purchased_micro == 50


def test_an_origin_is_granted_once_over_all_wallets(alice: Person, bob: Person) -> None:
    def give(person: Person) -> ledger.Grant | None:
        return ledger.grant(
            person.connection, person.wallet, 10, source="welcome", origin="welcome:h", now=START
        )

    assert give(alice) is not None
    assert give(alice) is None
    assert give(bob) is None
    assert (alice.available(), bob.available()) == (10, 0)


def test_a_frozen_account_spends_nothing_and_loses_no_time(alice: Person) -> None:
    grant = alice.gets(10, expires_at=START + 2 * DAY)
    held = alice.holds(4)
    ledger.freeze_wallet(alice.connection, alice.wallet, now=START + DAY)
    with pytest.raises(ledger.AccountFrozen):
        alice.spends(1, at=START + DAY)
    with pytest.raises(ledger.AccountFrozen):
        alice.holds(1, at=START + DAY)
    ledger.capture(alice.connection, held.id, 3, now=START + DAY)  # what had begun may end
    assert alice.available(START + 30 * DAY) == 7
    ledger.unfreeze_wallet(alice.connection, alice.wallet, now=START + 30 * DAY)
    assert alice.grant(grant.id).expires_at == START + 31 * DAY
    alice.spends(7, at=START + 30 * DAY)


def test_the_expiry_job_finds_wallets_in_which_something_ends(alice: Person, bob: Person) -> None:
    alice.gets(10, expires_at=START + DAY)
    bob.gets(10, expires_at=START + 3 * DAY)
    at = START + 2 * DAY
    assert ledger.due_wallets(alice.connection, now=at) == [alice.wallet]
    assert ledger.expire(alice.connection, alice.wallet, now=at) == 10
    assert ledger.due_wallets(alice.connection, now=at) == []
    line = alice.lines()[0]
    assert (line.type, line.effective_at, line.created_at) == ("EXPIRY", START + DAY, at)
