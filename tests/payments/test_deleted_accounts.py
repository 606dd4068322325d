"""Payments that arrive after their account was deleted: granted to nobody, and given back."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from creditapp import accounts, clock
from creditapp.accounts import AccountRules, User
from creditapp.db import snapshot, transaction
from creditapp.errors import AuthenticationRequired, Conflict
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases import posting
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.refunds import refund as refunds
from creditapp.payments.refunds import requests
from creditapp.payments.subscriptions import changes, invoice_review
from creditapp.services import get
from tests.flaky_gateway import cut
from tests.payments.plan_shop import PlanShop
from tests.payments.topup_shop import PRICE, TopupShop
from tests.shop_app import CREATOR, ShopApp, values

REASON = "its account is deleted"


def delete(shop_app: ShopApp, user: User) -> None:
    with shop_app.app.app_context(), transaction() as session:
        owner = session.get_one(User, user.id)
        accounts.delete_account(session, owner, get(AccountRules), now=clock.now())


def left(shop_app: ShopApp) -> list[tuple[str, str, str]]:
    """Return what the reconciliation leaves to the operator."""
    with shop_app.app.app_context():
        report = reconciliation.reconcile(shop_app.clock.now() - timedelta(days=2))
    return [(each.kind, each.purchase_id, each.ledger) for each in report.differences]


def refund(shop_app: ShopApp, target: str, minor: int | None = None) -> None:
    with shop_app.app.app_context():
        refunds.refund(target, minor, actor="operator")


def paid_too_late(shop_app: ShopApp, buyer: User) -> Purchase:
    """Return a purchase that was paid between the deletion and the sweep."""
    purchase = shop_app.start_checkout(buyer)
    delete(shop_app, buyer)
    shop_app.pay(purchase)
    return purchase


def test_a_pack_paid_after_the_deletion_is_for_the_operator_to_give_back(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = paid_too_late(shop_app, alice)
    with capture_logs() as logs:
        shop_app.sweep(after=timedelta(minutes=1))
    assert [each["reason"] for each in logs if each["event"] == "payment needs review"] == [REASON]
    assert (shop_app.row(purchase).state, shop_app.count_grants(purchase)) == ("review", 0)
    assert left(shop_app) == [("paid_not_granted", purchase.id, REASON)]
    refund(shop_app, purchase.id, 499)
    assert left(shop_app) == [("paid_not_granted", purchase.id, REASON)], "the rest is still theirs"
    with capture_logs() as logs:
        refund(shop_app, purchase.id)
    assert [each for each in logs if each["log_level"] == "error"] == []
    assert left(shop_app) == []
    assert (shop_app.session(purchase)["payment_status"], shop_app.credits(alice)) == ("paid", 0)
    assert shop_app.emails_sent(alice) == []
    shop_app.check_ledger()


def test_a_pack_that_cost_nothing_leaves_nothing_to_give_back(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.change_session(purchase, amount_total=0, payment_status="no_payment_required")
    delete(shop_app, alice)
    shop_app.pay(purchase)
    shop_app.sync(purchase)
    assert (shop_app.count_grants(purchase), left(shop_app)) == (0, [])


def test_a_pack_granted_before_the_deletion_stays_granted(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    delete(shop_app, alice)
    assert (shop_app.sync(purchase).state, shop_app.credits(alice)) == ("paid", CREATOR)
    refund(shop_app, purchase.id)
    assert shop_app.credits(alice) == 0
    assert left(shop_app) == []


def test_a_deletion_during_the_posting_waits_for_it(
    shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a checkout that had ended here, of which the deletion changes no row."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    with shop_app.app.app_context(), transaction() as session:
        session.get_one(Purchase, purchase.id).state = "expired"
    grant, deleted = posting.post_credits, threading.Event()

    def end() -> None:
        delete(shop_app, alice)
        deleted.set()

    thread = threading.Thread(target=end)

    def slow(*arguments: object) -> dict[str, object]:
        thread.start()
        assert not deleted.wait(0.3), "deleted between the question and the grant"
        return grant(*arguments)  # type: ignore[arg-type]

    kind = posting.kind_of(purchase)
    monkeypatch.setattr(posting, "kind_of", lambda _purchase: Slow(kind, slow))
    assert shop_app.sync(purchase).state == "paid"
    thread.join()
    assert (deleted.is_set(), shop_app.credits(alice)) == (True, CREATOR)


class Slow:
    """A kind of purchase with another ``post_paid``."""

    def __init__(self, kind: object, post_paid: object) -> None:
        self._kind, self.post_paid = kind, post_paid

    def __getattr__(self, name: str) -> object:
        return getattr(self._kind, name)


def test_a_deletion_and_the_payment_at_once_are_one_before_the_other(shop_app: ShopApp) -> None:
    for _ in range(4):
        alice = shop_app.member()
        purchase = shop_app.start_checkout(alice)
        shop_app.pay(purchase)
        values(
            shop_app.at_once(
                lambda p=purchase: shop_app.sync(p), lambda a=alice: delete(shop_app, a)
            )  # type: ignore[misc]
        )
        state = shop_app.row(purchase).state
        assert (state, shop_app.count_grants(purchase)) in (("paid", 1), ("review", 0))
    shop_app.check_ledger()


def test_a_plan_paid_after_the_deletion_grants_nothing_and_does_not_renew(plans: PlanShop) -> None:
    shop_app = plans.shop_app
    alice = shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    delete(shop_app, alice)
    shop_app.pay(purchase)
    assert shop_app.sync(purchase).state == "paid"
    (invoice,) = plans.invoices(alice)
    assert (invoice.review_reason, invoice.paid_at) == (REASON, None)
    assert plans.granted(alice) == []
    subscription = plans.current(alice)
    assert subscription is not None
    assert subscription.cancel_at == subscription.period_end
    assert left(shop_app) == [("paid_not_granted", invoice.id, REASON)]
    with pytest.raises(Conflict, match="deleted"), shop_app.app.app_context():
        invoice_review.accept_invoice(invoice.id)
    refund(shop_app, invoice.id)
    assert left(shop_app) == []
    plans.advance_to(subscription.period_end + timedelta(hours=1))
    plans.sweep()
    assert (len(plans.invoices(alice)), plans.current(alice)) == (1, None)


def test_a_plan_of_a_deleted_account_that_was_resumed_at_stripe_is_canceled_again(
    plans: PlanShop,
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    with plans.app.app_context():
        changes.set_cancellation(row, cancel=True)
    delete(plans.shop_app, alice)
    plans.shop_app.gateway.v1.subscriptions.update(row.id, {"cancel_at_period_end": False})
    assert plans.sync(row).cancel_at == row.period_end
    assert plans.granted(alice) == [500], "what was paid before stays"
    assert left(plans.shop_app) == []


# --- payments that begin at the moment of the deletion ---


@pytest.fixture
def tops(shop_app: ShopApp) -> TopupShop:
    return TopupShop(shop_app)


def test_a_top_up_whose_answer_is_lost_is_waited_for(shop_app: ShopApp, tops: TopupShop) -> None:
    alice = tops.switched_on()
    shop_app.flaky_gateway.after = cut("charge_saved_card")
    tops.run_low(alice)
    with pytest.raises(Conflict, match="on its way"):
        delete(shop_app, alice)
    tops.sweep(after=timedelta(minutes=2))
    delete(shop_app, alice)
    assert tops.charges(alice) == [PRICE]
    assert [(each.state, each.grant_id is not None) for each in tops.purchases(alice)] == [
        ("paid", True)
    ]


def test_a_top_up_and_a_deletion_at_once_are_one_before_the_other(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    for _ in range(4):
        alice = tops.switched_on()
        shop_app.spend(alice, 20)
        outcomes = shop_app.at_once(
            lambda a=alice: tops.consider(a),  # type: ignore[misc]
            lambda a=alice: delete(shop_app, a),  # type: ignore[misc]
        )
        assert outcomes[0] is None
        assert outcomes[1] is None or isinstance(outcomes[1], Conflict), outcomes[1]
        states = [each.state for each in tops.purchases(alice)]
        assert states in ([], ["paid"])
        assert tops.charges(alice) == [PRICE] * len(states)


def test_a_deleted_account_agrees_to_nothing_and_asks_for_nothing(
    shop_app: ShopApp, tops: TopupShop
) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    delete(shop_app, alice)
    with pytest.raises(AuthenticationRequired):
        tops.agree(alice)
    with shop_app.app.app_context(), snapshot() as session:
        assert session.get(AutoTopup, alice.id) is None
    with (
        pytest.raises(AuthenticationRequired),
        shop_app.app.app_context(),
        transaction() as session,
    ):
        requests.ask(session, purchase.id, alice, now=clock.now())
