"""Automatic top-ups: separate consent, one charge at a time, never above the monthly limit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from creditapp import ledger
from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.errors import ValidationFailed
from creditapp.payments import webhooks
from creditapp.payments.auto_topup import charge as topup_charge
from creditapp.payments.auto_topup import consent as topup_consent
from creditapp.payments.auto_topup.limits import start_of_next_month
from creditapp.payments.purchases.packs import PackChanged
from creditapp.payments.refunds import refund as refunds
from creditapp.payments.stripe.records import GatewayError
from creditapp.services import get, provide
from tests.flaky_gateway import cut
from tests.payments.topup_shop import MICRO, PRICE, TopupShop
from tests.shop_app import CREATOR, ShopApp, values

MINUTES = timedelta(minutes=1)


@pytest.fixture
def tops(shop_app: ShopApp) -> TopupShop:
    return TopupShop(shop_app)


# --- agreeing, and taking it back ---


def test_without_a_card_it_is_on_after_one_is_saved(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = shop_app.member()
    url = tops.agree(alice, counts_manual=True)
    assert url is not None
    assert not tops.row(alice).on
    tops.run_low(alice)
    assert tops.purchases(alice) == []

    row = tops.return_from_setup(alice)  # she came back without having saved one
    assert row is not None
    assert not row.on
    tops.save_card(url)
    row = tops.return_from_setup(alice)
    assert row is not None
    assert row.on
    assert (row.card, row.counts_manual, row.consent_version) == (
        "Visa ending in 4242",
        True,
        topup_consent.CONSENT_VERSION,
    )
    assert row.consented_at <= shop_app.clock.now()
    assert shop_app.emails_sent(alice) == []


def test_a_saved_card_turns_it_on_after_a_closed_window(shop_app: ShopApp, tops: TopupShop) -> None:
    alice, bob = shop_app.member(), shop_app.member()
    urls = [tops.agree(alice), tops.agree(bob)]
    for url in urls:
        assert url is not None
        tops.save_card(url)
    tops.off(bob)
    for url in [*urls, *urls]:
        assert url is not None
        tops.hear(url)
    assert tops.row(alice).on
    assert tops.row(alice).setup_checkout_id is None
    assert not tops.row(bob).on, "switched off while the card was saved"


def test_a_saved_card_event_is_retried_after_stripe_was_down(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = shop_app.member()
    url = tops.agree(alice)
    assert url is not None
    tops.save_card(url)
    shop_app.flaky_gateway.before = cut("retrieve_checkout")
    tops.hear(url)
    shop_app.flaky_gateway.before = lambda name: None
    assert not tops.row(alice).on
    shop_app.clock.advance(MINUTES)
    with shop_app.app.app_context():
        webhooks.sweep_events()
    assert tops.row(alice).on


def test_with_a_saved_card_it_is_on_at_once(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    tops.off(alice)
    assert tops.agree(alice, threshold_micro=5 * MICRO) is None
    assert tops.row(alice).on
    assert tops.row(alice).threshold_micro == 5 * MICRO


def test_a_new_card_replaces_the_old_one_when_saved(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    url = tops.agree(alice, new_card=True)
    assert url is not None
    assert tops.row(alice).on, "the first card pays until the second is there"
    tops.save_card(url, "declined-later")
    tops.return_from_setup(alice)
    assert tops.row(alice).card_last4 == "0341"


def test_disabled_it_charges_nothing_and_stays_off(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    tops.off(alice)
    tops.run_low(alice)
    tops.sweep(20 * MINUTES)
    assert tops.purchases(alice) == []
    row = tops.row(alice)
    assert (row.on, row.stopped_reason) == (False, "member")


def test_disabled_during_setup_a_saved_card_does_not_turn_it_on(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = shop_app.member()
    url = tops.agree(alice)
    assert url is not None
    tops.off(alice)
    tops.save_card(url)
    tops.return_from_setup(alice)
    assert not tops.row(alice).on


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"pack_id": "nothing"}, "pack"),
        ({"threshold_micro": 0}, "threshold"),
        ({"threshold_micro": (CREATOR + 1) * MICRO}, "threshold"),
        ({"limit_minor": PRICE - 1}, "limit"),
    ],
)
def test_invalid_terms_are_refused_by_field(
    shop_app: ShopApp, tops: TopupShop, terms: dict[str, object], field: str
) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        tops.agree(shop_app.member(), **terms)
    assert [each["field"] for each in refusal.value.errors] == [field]


def test_consent_is_refused_after_prices_changed(shop_app: ShopApp, tops: TopupShop) -> None:
    with pytest.raises(PackChanged):
        tops.agree(shop_app.member(), catalog_shown="another")


# --- once ---


def test_below_the_threshold_it_buys_once(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    tops.consider(alice)
    assert tops.purchases(alice) == [], "50 are not below 40"
    tops.run_low(alice, left=39)
    (purchase,) = tops.purchases(alice)
    assert (purchase.state, purchase.total_minor, purchase.checkout_id) == ("paid", PRICE, None)
    assert shop_app.balance(alice).available_micro == (39 + CREATOR) * MICRO
    (told,) = tops.mails(alice, "topup_done")
    assert (told["number"], told["balance_micro"]) == (purchase.id, (39 + CREATOR) * MICRO)
    assert told["card"] == "Visa ending in 4242"
    for _ in range(3):
        tops.consider(alice)
        tops.sync(purchase)
        shop_app.send(tops.event(purchase, "payment_intent.succeeded"))
        tops.sweep(11 * MINUTES)
    assert tops.charges(alice) == [PRICE]
    assert shop_app.count_grants(purchase) == 1
    assert shop_app.emails_sent(alice) == ["topup_done"]


def test_ten_concurrent_jobs_make_one_purchase(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    shop_app.spend(alice, 20)
    values(shop_app.at_once(*[lambda: topup_charge.charge_if_low(alice.id)] * 10))
    assert [each.state for each in tops.purchases(alice)] == ["paid"]
    assert tops.charges(alice) == [PRICE]


def test_only_a_hold_below_the_threshold_enqueues_the_job(
    shop_app: ShopApp, tops: TopupShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    alice, bob = tops.switched_on(), shop_app.member()
    monkeypatch.setattr(topup_charge.jobs, "enqueue", lambda *job: asked.append(job))
    with shop_app.app.app_context():
        topup_charge.enqueue_if_low(bob.id, 0)
        topup_charge.enqueue_if_low(alice.id, 40 * MICRO)
        assert asked == []
        topup_charge.enqueue_if_low(alice.id, 40 * MICRO - 1)
        topup_charge.enqueue_if_low(alice.id, 1)
    assert len(set(asked)) == 1
    assert asked[0][0] == "top-up"
    assert asked[0][1].startswith(f"{alice.id}.")


def test_the_sweep_charges_low_balances_without_a_job(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    shop_app.spend(alice, 20)
    tops.sweep()
    assert [each.state for each in tops.purchases(alice)] == ["paid"]


def test_the_worst_case_of_an_answer_that_is_being_written_charges_no_card(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = tops.switched_on()
    with shop_app.app.app_context(), transaction() as session:
        connection = session.connection()
        wallet_id = ledger.ensure_wallet(connection, "user", alice.id, now=now())
        new = ledger.NewCharge(amount_micro=20 * MICRO, key="usage:1", digest="", operation="chat")
        charge = ledger.hold(connection, wallet_id, new, now=now())
    tops.sweep()
    assert tops.purchases(alice) == []
    with shop_app.app.app_context(), transaction() as session:
        ledger.capture(session.connection(), charge.id, 15 * MICRO, now=now())
    tops.sweep(2 * MINUTES)
    assert [each.state for each in tops.purchases(alice)] == ["paid"]


def test_ten_minutes_pass_between_two_charges(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    tops.run_low(alice)
    tops.run_low(alice)
    tops.sweep(9 * MINUTES)
    assert len(tops.purchases(alice)) == 1
    tops.sweep(2 * MINUTES)
    assert tops.charges(alice) == [PRICE, PRICE]


# --- the limit ---


def test_the_monthly_limit_holds_and_is_emailed_once(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on(limit_minor=2 * PRICE)
    shop_app.buy_and_pay(alice)  # by hand: it does not count
    for _ in range(4):
        tops.run_low(alice)
        tops.sweep(11 * MINUTES)
    assert tops.charges(alice) == [PRICE, PRICE]
    (told,) = tops.mails(alice, "topup_stopped")
    assert (told["reason"], told["limit_minor"]) == ("limit", 2 * PRICE)
    assert tops.row(alice).on

    shop_app.clock.advance(start_of_next_month(shop_app.clock.now()) - shop_app.clock.now())
    tops.sweep()
    assert len(tops.charges(alice)) == 3


def test_a_shared_limit_counts_manual_purchases(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on(limit_minor=2 * PRICE, counts_manual=True)
    shop_app.buy_and_pay(alice)
    tops.run_low(alice)
    assert tops.charges(alice) == [PRICE]
    tops.sweep(11 * MINUTES)
    tops.run_low(alice)
    assert tops.charges(alice) == [PRICE]


def test_an_open_checkout_uses_the_limit_and_sends_no_email(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = tops.switched_on(limit_minor=2 * PRICE - 1, counts_manual=True)
    shop_app.start_checkout(alice)
    tops.run_low(alice)
    assert tops.purchases(alice) == []
    assert tops.mails(alice, "topup_stopped") == []


def test_at_another_price_it_stops_before_it_charges(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    with shop_app.app.app_context():
        catalog = get(Catalog)
        dearer = tuple(
            pack.model_copy(update={"price_minor": pack.price_minor + 100})
            for pack in catalog.packs
        )
        provide(shop_app.app, Catalog, catalog.model_copy(update={"packs": dearer}))
    try:
        tops.run_low(alice)
    finally:
        provide(shop_app.app, Catalog, catalog)
    assert tops.purchases(alice) == []
    assert tops.row(alice).stopped_reason == "pack"
    assert [each["reason"] for each in tops.mails(alice, "topup_stopped")] == ["pack"]


# --- cards that refuse ---


def test_two_declined_payments_in_a_row_stop_it(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on("declined-later")
    tops.run_low(alice)
    assert (tops.row(alice).on, tops.row(alice).declines) == (True, 1)
    assert shop_app.emails_sent(alice) == []
    tops.sweep(11 * MINUTES)
    row = tops.row(alice)
    assert (row.on, row.stopped_reason) == (False, "declined")
    tops.sweep(60 * MINUTES)
    assert [each.state for each in tops.purchases(alice)] == ["failed", "failed"]
    assert [each["reason"] for each in tops.mails(alice, "topup_stopped")] == ["declined"]
    assert shop_app.balance(alice).available_micro == 30 * MICRO
    assert tops.agree(alice) is None
    assert (tops.row(alice).on, tops.row(alice).declines) == (True, 0)


def test_a_card_that_requires_authentication_stops_it_at_once(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = tops.switched_on("asks-each-time")
    tops.run_low(alice)
    row = tops.row(alice)
    assert (row.on, row.stopped_reason) == (False, "authentication")
    (told,) = tops.mails(alice, "topup_stopped")
    assert (told["reason"], told["path"]) == ("authentication", "/settings#top-up")
    assert tops.charges(alice) == []


# --- Stripe silent ---


def test_a_charge_with_a_lost_answer_is_not_repeated(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    shop_app.flaky_gateway.after = cut("charge_saved_card")
    tops.run_low(alice)
    shop_app.flaky_gateway.after = lambda name: None
    assert [each.state for each in tops.purchases(alice)] == ["open"]
    assert shop_app.balance(alice).available_micro == 30 * MICRO
    tops.consider(alice)  # one is under way
    tops.sweep(2 * MINUTES)
    assert shop_app.balance(alice).available_micro == (30 + CREATOR) * MICRO
    assert shop_app.flaky_gateway.calls["charge_saved_card"] == 1
    assert tops.charges(alice) == [PRICE]
    assert shop_app.emails_sent(alice) == ["topup_done"]


def test_a_charge_that_never_arrived_is_repeated_with_its_key(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = tops.switched_on()
    shop_app.flaky_gateway.before = cut("charge_saved_card")
    tops.run_low(alice)
    tops.sweep(2 * MINUTES)
    shop_app.flaky_gateway.before = lambda name: None
    tops.sweep(2 * MINUTES)
    (purchase,) = tops.purchases(alice, "paid")
    assert purchase.attempt == 1
    assert tops.charges(alice) == [PRICE]


def test_disabled_while_stripe_is_down_nothing_is_charged(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = tops.switched_on()
    shop_app.flaky_gateway.before = cut("charge_saved_card")
    tops.run_low(alice)
    shop_app.flaky_gateway.before = lambda name: None
    tops.off(alice)
    tops.sweep(2 * MINUTES)
    assert [each.state for each in tops.purchases(alice)] == ["expired"]
    assert (tops.charges(alice), tops.row(alice).purchase_id) == ([], None)


def test_after_a_day_the_key_is_not_used_again(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    shop_app.flaky_gateway.before = cut("charge_saved_card")
    tops.run_low(alice)
    tops.sweep(timedelta(hours=23, minutes=30))
    assert [each.state for each in tops.purchases(alice)] == ["expired"]
    assert shop_app.flaky_gateway.calls["charge_saved_card"] == 1


def test_a_webhook_before_the_answer_posts_once(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()

    def hear_first(name: str) -> None:
        if name == "charge_saved_card":
            (purchase,) = tops.purchases(alice)
            assert (
                shop_app.send(tops.event(purchase, "payment_intent.succeeded")).status_code == 200
            )
            assert shop_app.row(purchase).state == "paid"
            raise GatewayError("Stripe: no answer", permanent=False)

    shop_app.flaky_gateway.after = hear_first
    tops.run_low(alice)
    tops.sweep(2 * MINUTES)
    assert (tops.charges(alice), shop_app.emails_sent(alice)) == ([PRICE], ["topup_done"])


# --- when not ---


def freeze_account(shop_app: ShopApp, alice: User) -> None:
    with shop_app.app.app_context(), transaction() as session:
        session.execute(update(User).where(User.id == alice.id).values(frozen_at=now()))


def freeze_wallet(shop_app: ShopApp, alice: User) -> None:
    with shop_app.app.app_context(), transaction() as session:
        connection = session.connection()
        wallet_id = ledger.ensure_wallet(connection, "user", alice.id, now=now())
        ledger.freeze_wallet(connection, wallet_id, now=now())


def owe(shop_app: ShopApp, alice: User) -> None:
    purchase = shop_app.buy_and_pay(alice)
    shop_app.spend(alice, 50 + CREATOR)
    shop_app.refund(purchase)
    shop_app.sync(purchase)
    assert shop_app.balance(alice).owed_micro > 0


def dispute(shop_app: ShopApp, alice: User) -> None:
    purchase = shop_app.buy_and_pay(alice)
    shop_app.dispute(purchase)
    shop_app.sync(purchase)
    assert shop_app.balance(alice).frozen_micro > 0


@pytest.mark.parametrize("trouble", [freeze_account, freeze_wallet, owe, dispute])
def test_nothing_is_charged_on_a_frozen_or_owing_account(
    shop_app: ShopApp, tops: TopupShop, trouble: object
) -> None:
    alice = tops.switched_on(threshold_micro=CREATOR * MICRO)
    assert callable(trouble)
    trouble(shop_app, alice)
    tops.consider(alice)
    tops.sweep(20 * MINUTES)
    assert tops.purchases(alice) == []


# --- afterwards ---


def test_a_refund_of_a_top_up_revokes_its_credits(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    tops.run_low(alice)
    tops.off(alice)
    (purchase,) = tops.purchases(alice)
    with shop_app.app.app_context():
        refunds.refund(purchase.id)
    assert shop_app.balance(alice).available_micro == 30 * MICRO
    assert shop_app.emails_sent(alice) == ["topup_done", "refund"]
    assert tops.differences(alice) == []


def test_the_reconciliation_finds_a_charge_without_a_webhook(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice, bob = tops.switched_on(), tops.switched_on()
    tops.run_low(alice)
    (purchase,) = tops.purchases(alice)
    assert tops.differences(alice) == []
    tops.press(purchase, "refund", amount="7.49")
    assert tops.differences(alice) == [("refund", True)]
    shop_app.flaky_gateway.after = cut("charge_saved_card")
    tops.run_low(bob)
    shop_app.flaky_gateway.after = lambda name: None
    assert tops.differences(bob) == [("paid_not_granted", True)]
    assert tops.row(bob).purchase_id is None
    assert tops.differences(alice) == tops.differences(bob) == []


def test_a_dispute_of_a_top_up_freezes_its_credits_until_decided(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = tops.switched_on()
    tops.run_low(alice)
    (purchase,) = tops.purchases(alice)
    disputed = tops.press(purchase, "dispute")
    tops.sync(purchase)
    assert shop_app.balance(alice).frozen_micro == CREATOR * MICRO
    tops.sweep(20 * MINUTES)
    assert len(tops.purchases(alice)) == 1
    shop_app.press(f"/disputes/{disputed}/close", outcome="won")
    tops.sync(purchase)
    assert shop_app.balance(alice).frozen_micro == 0
    assert shop_app.emails_sent(alice) == ["topup_done", "dispute_opened", "dispute_closed"]
