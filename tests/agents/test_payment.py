"""Payments that are refused, lost, late, repeated or cut off: money and credits agree."""

from __future__ import annotations

from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from creditapp import agents
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import Rails
from creditapp.agents.refusals import PaymentRefused, SettlementUnknown
from creditapp.clock import StoppedClock
from creditapp.ledger.models import Grant
from creditapp.services import provide
from tests.agents.conftest import ACCEPT_JSON, AgentShop
from tests.agents.flaky_rail import FlakyRail
from tests.agents.test_buy import BUY, claims_of


@pytest.fixture
def rail(agent_shop: AgentShop) -> FlakyRail:
    """The only rail of the app."""
    made = FlakyRail()
    provide(agent_shop.app, Rails, Rails([made]))
    return made


def send(agent_shop: AgentShop, text: str, count: int = 3, **headers: str) -> TestResponse:
    """Send a payment of the rail."""
    return agent_shop.post(BUY, {"count": count}, X_Flaky_Payment=text, **headers)


def new_request(agent_shop: AgentShop) -> str:
    """Return the id of a new payment request of three credits."""
    return str(claims_of(agent_shop.token(3))["id"])


def sweep(agent_shop: AgentShop, clock: StoppedClock) -> None:
    """Run the sweep."""
    with agent_shop.app.app_context():
        agents.sweep(now=clock.now())


def raising(error: Exception) -> object:
    """Return a function that raises."""

    def fail() -> None:
        raise error

    return fail


def test_the_402_has_the_headers_of_the_rail(agent_shop: AgentShop, rail: FlakyRail) -> None:
    answer = agent_shop.post(BUY, {"count": 3})

    assert answer.headers["X-Flaky-Challenge"] == claims_of(answer.text)["id"]


def test_a_settled_payment_answers_with_the_headers_of_the_rail(
    agent_shop: AgentShop, rail: FlakyRail
) -> None:
    request_id = new_request(agent_shop)

    answer = send(agent_shop, f"{request_id}:a")

    assert (answer.status_code, answer.json["purchaseId"]) == (200, request_id)
    assert answer.headers["X-Flaky-Response"] == "paid"
    assert claims_of(answer.json["receipt"])["sub"] == "did:example:buyer"


def test_a_refused_payment_is_answered_with_a_new_offer(
    agent_shop: AgentShop, rail: FlakyRail
) -> None:
    request_id = new_request(agent_shop)
    rail.before = raising(PaymentRefused("The wallet is empty."))

    refused = send(agent_shop, f"{request_id}:a", **ACCEPT_JSON)

    assert (refused.status_code, refused.json["error"]) == (402, "The wallet is empty.")
    rail.before = lambda: None
    assert send(agent_shop, f"{request_id}:b").status_code == 200


def test_two_payments_of_one_request_at_once_move_money_once(
    agent_shop: AgentShop, rail: FlakyRail
) -> None:
    request_id = new_request(agent_shop)

    answers = agent_shop.at_once(
        *[lambda n=n: send(agent_shop, f"{request_id}:{n}") for n in range(6)]
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    codes = {answer.json["code"] for answer in answers if answer.status_code == 409}
    assert codes == {"payment_request_not_open"}
    assert len(rail.paid) == agent_shop.count(Grant) == 1


def test_an_unknown_outcome_is_503_and_the_same_payment_learns_it(
    agent_shop: AgentShop, rail: FlakyRail
) -> None:
    request_id = new_request(agent_shop)
    rail.after = raising(SettlementUnknown())

    unknown = send(agent_shop, f"{request_id}:a")
    other = send(agent_shop, f"{request_id}:b")

    assert (unknown.status_code, unknown.json["code"]) == (503, "settlement_unknown")
    assert (other.status_code, other.json["code"]) == (409, "payment_request_not_open")
    rail.after = lambda: None
    again = send(agent_shop, f"{request_id}:a")
    assert again.status_code == 200
    assert len(rail.paid) == agent_shop.count(Grant) == 1


def test_an_unforeseen_failure_counts_as_unknown(agent_shop: AgentShop, rail: FlakyRail) -> None:
    request_id = new_request(agent_shop)
    rail.after = raising(RuntimeError("the connection broke"))

    answer = send(agent_shop, f"{request_id}:a")

    assert (answer.status_code, answer.json["code"]) == (503, "settlement_unknown")
    assert agent_shop.request_row(request_id).state == "settling"


def test_the_sweep_grants_what_a_dead_process_had_paid(
    agent_shop: AgentShop, rail: FlakyRail, clock: StoppedClock
) -> None:
    token = agent_shop.token(3)
    request_id = claims_of(token)["id"]
    rail.after = raising(SystemExit())  # as a kill between the payment and the grant
    with pytest.raises(SystemExit):
        send(agent_shop, f"{request_id}:a")
    assert agent_shop.request_row(request_id).state == "settling"

    sweep(agent_shop, clock)
    assert agent_shop.request_row(request_id).state == "settling", "its lease has not lapsed"
    clock.advance(timedelta(seconds=91))
    sweep(agent_shop, clock)
    sweep(agent_shop, clock)

    assert agent_shop.claim(token).json["details"]["credits"] == 3
    assert agent_shop.count(Grant) == 1
    rail.after = lambda: None
    assert send(agent_shop, f"{request_id}:a").json["code"] == "credential_replayed"


def test_the_sweep_opens_what_a_dead_process_had_not_paid(
    agent_shop: AgentShop, rail: FlakyRail, clock: StoppedClock
) -> None:
    request_id = new_request(agent_shop)
    rail.before = raising(SystemExit())
    with pytest.raises(SystemExit):
        send(agent_shop, f"{request_id}:a")
    clock.advance(timedelta(seconds=91))

    sweep(agent_shop, clock)

    rail.before = lambda: None
    assert send(agent_shop, f"{request_id}:b").status_code == 200


def test_the_same_payment_after_a_kill_settles_once_even_past_the_expiry(
    agent_shop: AgentShop, rail: FlakyRail, clock: StoppedClock
) -> None:
    request_id = new_request(agent_shop)
    rail.after = raising(SystemExit())
    with pytest.raises(SystemExit):
        send(agent_shop, f"{request_id}:a")
    rail.after = lambda: None
    clock.advance(timedelta(minutes=20))

    assert send(agent_shop, f"{request_id}:a").status_code == 200
    assert len(rail.paid) == agent_shop.count(Grant) == 1


def test_one_payment_cannot_pay_two_requests(agent_shop: AgentShop, rail: FlakyRail) -> None:
    """The rail gives the same reference: its own check of repeats has failed."""
    text = ":a"  # a payment that names no request: one is stored for it
    first = send(agent_shop, text)

    again = send(agent_shop, text)

    assert (first.status_code, again.status_code) == (200, 403)
    assert again.json["code"] == "credential_replayed"
    assert agent_shop.count(Settlement) == agent_shop.count(PaymentRequest) == 1


def test_an_unknown_request_is_not_settled(agent_shop: AgentShop, rail: FlakyRail) -> None:
    answer = send(agent_shop, "prq_nobody:a")

    assert (answer.status_code, answer.json["code"]) == (401, "unknown_payment_request")
    assert rail.paid == {}


def test_unpaid_requests_are_forgotten_a_week_after_they_expired(
    agent_shop: AgentShop, rail: FlakyRail, clock: StoppedClock
) -> None:
    unpaid, paid = new_request(agent_shop), new_request(agent_shop)
    send(agent_shop, f"{paid}:a")
    clock.advance(timedelta(days=7))
    sweep(agent_shop, clock)
    assert agent_shop.count(PaymentRequest) == 2

    clock.advance(timedelta(minutes=16))
    sweep(agent_shop, clock)

    assert agent_shop.count(PaymentRequest) == 1
    assert send(agent_shop, f"{unpaid}:a").json["code"] == "unknown_payment_request"


def test_a_payment_that_outlived_its_lease_is_told_to_the_operator(
    agent_shop: AgentShop, rail: FlakyRail, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    request_id = new_request(agent_shop)

    def be_slow() -> None:
        rail.before = lambda: None
        clock.advance(timedelta(seconds=91))
        sweep(agent_shop, clock)  # it finds no payment, and opens the request again
        assert send(agent_shop, f"{request_id}:b").status_code == 200

    rail.before = be_slow
    late = send(agent_shop, f"{request_id}:a")

    assert (late.status_code, late.json["code"]) == (409, "conflict")
    assert agent_shop.count(Grant) == 1
    assert f"{request_id}:a" in caplog.text
