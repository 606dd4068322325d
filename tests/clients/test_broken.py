"""A connection that breaks: the client pays once, waits as told, and gives up with the key."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from creditapp_client import (
    ConnectionLost,
    CreditApp,
    GenerationFailed,
    ProviderUnavailable,
    RateLimited,
)

from tests.clients.conftest import Slept
from tests.fakes.broken_connection import HALF, LOST, TRUNCATED, BrokenConnection, refused

ORDER = {"prompt": "a quay at first light", "model": "nano-banana"}
QUESTION = [{"role": "user", "content": "Name three harbours."}]
Over = Callable[..., tuple[CreditApp, BrokenConnection]]


@pytest.mark.parametrize("step", [LOST, TRUNCATED], ids=["lost", "truncated"])
def test_an_answer_that_is_lost_after_paying_is_paid_once(over: Over, step: object) -> None:
    client, connection = over(step, step)
    made = client.generate(**ORDER)
    assert made["credits"] == {"used": Decimal("0.5"), "remaining": Decimal("49.5")}
    assert len(connection.seen) == 3
    assert len(set(connection.keys)) == 1
    assert connection.keys[0]
    client, connection = over(step)
    spent = client.spend(2, "ai-generation")
    assert (spent["balance"], len(connection.seen)) == (Decimal("47.5"), 2)
    hold = client.hold(10, "ai-generation")
    client, connection = over(step)
    assert client.capture(hold["id"], 1)["balance"] == Decimal("46.5")
    assert len(list(client.generations())) == 1
    assert client.balance()["balance"] == Decimal("46.5")


def test_two_calls_have_two_keys(over: Over) -> None:
    client, connection = over()
    client.spend(1, "ai-generation")
    client.spend(1, "ai-generation")
    assert len(set(connection.keys)) == 2
    assert client.balance()["balance"] == 48


def test_a_client_that_gives_up_names_the_key_that_finds_out(over: Over, slept: Slept) -> None:
    client, _connection = over(LOST, LOST, attempts=2)
    with pytest.raises(ConnectionLost) as lost:
        client.spend(3, "ai-generation")
    key = lost.value.idempotency_key
    assert len(slept) == 1
    client, _connection = over()
    assert client.spend(3, "ai-generation", idempotency_key=key)["balance"] == 47
    assert client.balance()["balance"] == 47


def test_retry_after_is_honoured_to_the_second(over: Over, slept: Slept) -> None:
    client, connection = over(refused(429, "rate_limited", Retry_After="7"))
    assert client.spend(1, "ai-generation")["balance"] == 49
    assert slept == [7]
    assert len(set(connection.keys)) == 1
    client, connection = over(refused(429, "rate_limited", Retry_After="3600"))
    with pytest.raises(RateLimited) as limited:
        client.spend(1, "ai-generation")
    assert limited.value.retry_after == 3600
    assert (slept, len(connection.seen)) == ([7], 1)


def test_a_server_that_is_away_for_a_moment_is_asked_again(over: Over, slept: Slept) -> None:
    away = refused(503, "provider_unavailable")
    client, connection = over(away, away)
    assert client.generate(**ORDER)["status"] == "succeeded"
    assert len(connection.seen) == 3
    assert 0 < slept[0] < slept[1] < 1.1
    client, connection = over(*[away] * 4)
    with pytest.raises(ProviderUnavailable):
        client.spend(1, "ai-generation")
    assert len(connection.seen) == 4
    client, connection = over(refused(502, "generation_failed"))
    with pytest.raises(GenerationFailed):
        client.generate(**ORDER)
    assert len(connection.seen) == 1, "the same key would return the same failure"
    assert client.balance()["balance"] == Decimal("49.5")


def test_what_has_no_key_is_sent_once(over: Over) -> None:
    for call in (
        lambda client: client.access_token("ai-generation"),
        lambda client: client.upload(b"x", "image/png"),
        lambda client: client.delete("gen_none"),
        lambda client: client.call("POST", "/api/credits/spend", {"amount": 1, "feature": "x"}),
    ):
        client, connection = over(LOST)
        with pytest.raises(ConnectionLost) as lost:
            call(client)
        assert lost.value.idempotency_key is None
        assert len(connection.seen) == 1
    client, connection = over(LOST, TRUNCATED)
    assert client.balance()["balance"] == 50, "a read is repeated"
    assert len(connection.seen) == 3


def test_a_stream_that_is_cut_goes_on_where_it_was(over: Over) -> None:
    client, connection = over(HALF)
    stream = client.stream_chat(QUESTION)
    pieces = list(stream)
    assert "".join(pieces) == stream.text
    assert len(connection.seen) == 2
    assert len(set(connection.keys)) == 1
    assert stream.done is not None
    assert stream.usage is not None
    (record,) = client.usage()
    assert (record["id"], record["cost"]) == (stream.done["id"], stream.usage["credits"]["used"])
    client, connection = over(HALF, HALF, attempts=2)
    stream = client.stream_chat(QUESTION)
    with pytest.raises(ConnectionLost) as lost:
        list(stream)
    assert lost.value.idempotency_key == connection.keys[0]
    client, connection = over()
    again = client.stream_chat(QUESTION, idempotency_key=lost.value.idempotency_key)
    assert "".join(again).startswith(stream.text)
    assert len(list(client.usage())) == 2, "asked and paid once"


def test_nothing_listens(key: str, slept: Slept) -> None:
    from creditapp_client import RetryPolicy

    from tests.browser.conftest import free_port

    retries = RetryPolicy(attempts=3, sleep=slept.append)
    client = CreditApp(f"http://127.0.0.1:{free_port()}", key, retries=retries)
    with pytest.raises(ConnectionLost):
        client.balance()
    assert len(slept) == 2
