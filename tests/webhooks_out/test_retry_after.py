"""``Retry-After`` of a receiver: kept within the schedule, capped, ignored if it is nonsense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from creditapp.webhooks_out import runs, transport
from tests.app_factory import Person
from tests.webhooks_out.hooks import PATH, Hooks, queue_again
from tests.webhooks_out.receiver import Receiver

HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"
NONSENSE = [
    *("", "soon", "-5", "1.5", "5, 6", "1e3", "\u0663", "0x10", "9" * 5000, "Mon", "0"),
    *("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 2015 07:28:00 GMT"),
    *("1 Jan 99999999999999999999999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2300"),
]


def wait_asked(receiver: Receiver, value: str, status: int = 503) -> timedelta | None:
    """Return the wait that an answer with ``Retry-After`` leads to."""
    receiver.status, receiver.headers = status, {"Retry-After": value}
    headers = {"webhook-id": "msg_1", "webhook-signature": ""}
    return transport.post(receiver.url, b"{}", headers, loopback=True).retry_after


def test_seconds_and_a_date_are_read(receiver: Receiver) -> None:
    assert wait_asked(receiver, "120") == timedelta(seconds=120)
    assert wait_asked(receiver, "120", 429) == timedelta(seconds=120)
    moment = datetime.now(UTC) + timedelta(minutes=5)
    wait = wait_asked(receiver, moment.strftime(HTTP_DATE))
    assert wait is not None
    assert timedelta(minutes=4.9) < wait <= timedelta(minutes=5)


@pytest.mark.parametrize("status", [204, 302])
def test_it_is_read_from_refusals_alone(receiver: Receiver, status: int) -> None:
    assert wait_asked(receiver, "120", status) is None


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_changes_nothing(
    alice: Person, hooks: Hooks, receiver: Receiver, value: str
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    queue_again(hooks, endpoint)
    receiver.status = 503
    receiver.headers = {"Retry-After": value.encode().decode("latin-1")}
    hooks.deliver()
    hooks.deliver(timedelta(seconds=12.5))
    assert len(receiver.ids) == 2


def test_a_receiver_gets_nothing_before_the_wait_that_it_asked_for(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    """Neither the delivery that it refused nor another one."""
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    for _ in range(3):
        queue_again(hooks, endpoint)
    receiver.status, receiver.headers = 429, {"Retry-After": "900"}
    hooks.deliver()
    for _ in range(14):
        hooks.deliver(timedelta(minutes=1))
    assert len(receiver.ids) == 1
    receiver.status, receiver.headers = 204, {}
    hooks.deliver(timedelta(minutes=1))
    assert len(set(receiver.ids)) == 3


def test_a_longer_wait_counts_as_an_hour(alice: Person, hooks: Hooks, receiver: Receiver) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    queue_again(hooks, endpoint)
    receiver.status, receiver.headers = 503, {"Retry-After": "999999999"}
    hooks.deliver()
    hooks.deliver(runs.RETRY_AFTER_MAX - timedelta(minutes=1))
    assert len(receiver.ids) == 1
    hooks.deliver(timedelta(minutes=1))
    assert len(receiver.ids) == 2


@pytest.mark.parametrize("seconds", [69, 3600])
def test_the_schedule_ends_after_a_day_whatever_the_receiver_asks(
    alice: Person, hooks: Hooks, receiver: Receiver, seconds: int
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    queue_again(hooks, endpoint)
    receiver.status, receiver.headers = 503, {"Retry-After": str(seconds)}
    begun = hooks.clock.now()
    hooks.deliver()
    while hooks.log(alice, endpoint)[0]["state"] == "pending":
        hooks.deliver(timedelta(minutes=10))
    assert timedelta(hours=18) < hooks.clock.now() - begun < timedelta(hours=30)
    assert 5 <= len(receiver.ids) <= len(runs.RETRIES) + 1
    assert alice.call("GET", PATH).json["items"][0]["enabled"]
