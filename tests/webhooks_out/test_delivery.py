"""Delivery: signed, at least once and under one id, retried, logged, and stopped at last."""

from __future__ import annotations

from tests.app_factory import Person, Queue
from tests.web.steps import make
from tests.webhooks_out.hooks import Hooks
from tests.webhooks_out.receiver import Receiver


def test_a_generation_is_told_to_the_server_that_asked_for_it(
    alice: Person, queue: Queue, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "generation.succeeded")
    path = make(alice, queue, "a secret harbour")
    hooks.deliver()
    (event,) = receiver.received
    assert event["type"] == "generation.succeeded"
    assert event["data"]["id"] == path.rpartition("/")[2]
    assert event["data"]["creditsUsed"] == 0.5
    assert "secret harbour" not in receiver.bodies[0]
    (delivery,) = hooks.log(alice, endpoint)
    assert (delivery["id"], delivery["state"]) == (receiver.ids[0], "delivered")
    assert [attempt["status"] for attempt in delivery["attempts"]] == [204]
    hooks.deliver()
    assert len(receiver.received) == 1
