"""Images for receipts: one credit each, and none for what was not delivered."""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta

import pytest
from sqlalchemy import select

from creditapp.agents.models import PaymentRequest
from creditapp.clock import StoppedClock
from creditapp.db import snapshot
from creditapp.generation import deletion
from creditapp.generation.models import Asset, Deletion, Generation
from creditapp.generation.providers import GenerationFailed
from creditapp.runtime import tasks
from tests.agents.conftest import ACCEPT_JSON, AgentShop
from tests.generation.studio import IMAGE, Scripted

GENERATE = "/api/images/generate"


def test_each_image_costs_one_credit_until_none_is_left(agent_shop: AgentShop) -> None:
    receipt = agent_shop.receipt(2)

    first = agent_shop.make(receipt, prompt="a quay at dawn")
    second = agent_shop.make(receipt, name="Abraham Lincoln")
    third = agent_shop.generate(receipt, prompt="a quay at dusk")

    assert (first.status_code, first.mimetype, first.data) == (200, "image/png", IMAGE)
    assert [answer.headers["X-Credits-Remaining"] for answer in (first, second)] == ["1", "0"]
    assert first.headers["X-Credits-Cost"] == "1"
    assert (third.status_code, third.json["code"]) == (409, "credits_exhausted")
    balance = agent_shop.balance(receipt)
    assert (balance["initial"], balance["remaining"], balance["status"]) == (2, 0, "exhausted")


def test_a_credit_is_one_image_whatever_the_model_costs(
    agent_shop: AgentShop, provider: Scripted
) -> None:
    """GPT Image costs two credits in medium quality, and a receipt's credit pays for it whole."""
    receipt = agent_shop.receipt(1)

    assert agent_shop.make(receipt, prompt="a quay").status_code == 200

    (request,) = provider.requests
    assert request.quality == "medium"
    assert agent_shop.balance(receipt)["remaining"] == 0


def test_json_has_the_image_and_the_credits(agent_shop: AgentShop) -> None:
    receipt = agent_shop.receipt(3)
    made = agent_shop.make(receipt, prompt="a quay")

    again = agent_shop.post(
        GENERATE,
        {"receipt": receipt, "prompt": "a quay"},
        Idempotency_Key=made.headers["Idempotency-Key"],
        **ACCEPT_JSON,
    )

    assert b64decode(again.json["imageBase64"]) == IMAGE
    assert again.json["credits"] == {"used": 1, "remaining": 2}
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_same_key_makes_one_image_and_another_body_none(
    agent_shop: AgentShop, provider: Scripted
) -> None:
    receipt = agent_shop.receipt(3)
    sent = {"Idempotency_Key": "one", "Prefer": "respond-async"}
    body = {"receipt": receipt, "prompt": "a quay"}
    answers = agent_shop.at_once(*[lambda: agent_shop.post(GENERATE, body, **sent)] * 6)
    assert {answer.status_code for answer in answers} == {202}
    agent_shop.queue.run()

    other = agent_shop.post(GENERATE, {**body, "prompt": "a bridge"}, **sent)

    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    assert provider.calls == 1
    assert agent_shop.balance(receipt)["remaining"] == 2


def test_a_repeated_request_for_any_subject_draws_the_same_one(agent_shop: AgentShop) -> None:
    receipt = agent_shop.receipt(1)

    assert agent_shop.make(receipt).status_code == 200


def test_twenty_at_once_on_three_credits_make_three_images(
    agent_shop: AgentShop, provider: Scripted
) -> None:
    receipt = agent_shop.receipt(3)

    answers = agent_shop.at_once(*[lambda: agent_shop.generate(receipt, prompt="a quay")] * 20)
    agent_shop.queue.run()

    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [409] * 17
    assert provider.calls == 3
    assert agent_shop.balance(receipt)["remaining"] == 0


def test_a_failed_generation_gives_its_credit_back(
    agent_shop: AgentShop, provider: Scripted
) -> None:
    receipt = agent_shop.receipt(1)
    provider.script = [GenerationFailed("It went wrong.")]

    failed = agent_shop.make(receipt, prompt="a quay")

    assert (failed.status_code, failed.json["code"]) == (502, "generation_failed")
    assert failed.json["creditsCharged"] == 0
    assert failed.headers["X-Credits-Remaining"] == "1"
    provider.script = None
    assert agent_shop.make(receipt, prompt="a quay").status_code == 200


@pytest.mark.parametrize("path", ["/api/images/generate", "/images/generate"])
def test_without_a_receipt_one_credit_is_offered(agent_shop: AgentShop, path: str) -> None:
    answer = agent_shop.post(path, {"prompt": "a quay"}, **ACCEPT_JSON)

    assert answer.status_code == 402
    request = answer.json["paymentRequest"]
    assert request["paymentOptions"][0]["amount"] == 100
    assert agent_shop.request_row(request["id"]).count == 1


def test_a_payment_with_the_request_makes_the_image_at_once(agent_shop: AgentShop) -> None:
    body = {"prompt": "a quay"}
    token = agent_shop.post(GENERATE, body).text

    paid = agent_shop.post(GENERATE, body, X_Sandbox_Payment=token, Prefer="respond-async")
    agent_shop.queue.run()
    receipt, key = paid.headers["X-Receipt"], paid.headers["Idempotency-Key"]
    made = agent_shop.post(GENERATE, {**body, "receipt": receipt}, Idempotency_Key=key)

    assert (paid.status_code, made.status_code, made.data) == (202, 200, IMAGE)
    assert made.headers["X-Credits-Remaining"] == "0"


def test_an_unpaid_request_makes_nothing(agent_shop: AgentShop) -> None:
    agent_shop.post(GENERATE, {"prompt": "a quay"})

    assert agent_shop.count(Generation) == 0


def test_a_name_that_is_no_subject_costs_nothing(agent_shop: AgentShop) -> None:
    receipt = agent_shop.receipt(1)

    answer = agent_shop.generate(receipt, name="George Washington")

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "name")
    assert agent_shop.balance(receipt)["remaining"] == 1


def test_an_empty_prompt_costs_nothing(agent_shop: AgentShop) -> None:
    receipt = agent_shop.receipt(1)

    answer = agent_shop.generate(receipt, prompt="  ")

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "prompt")
    assert agent_shop.balance(receipt)["remaining"] == 1
    assert agent_shop.count(PaymentRequest) == 1


def test_images_of_a_receipt_that_has_ended_are_erased(
    agent_shop: AgentShop, clock: StoppedClock
) -> None:
    agent_shop.make(agent_shop.receipt(1), prompt="a quay")
    clock.advance(timedelta(days=300))
    agent_shop.make(agent_shop.receipt(1), prompt="a boat")

    def sweep() -> list[str]:
        with agent_shop.app.app_context():
            tasks.forget()
            clock.advance(timedelta(seconds=deletion.UNDO_SECONDS))
            deletion.sweep(now=clock.now())
            with snapshot() as session:
                return sorted(filter(None, session.scalars(select(Generation.prompt))))

    assert sweep() == ["a boat", "a quay"]
    clock.advance(timedelta(days=66))

    assert sweep() == ["a boat"]
    assert agent_shop.count(Asset) == 1
    assert agent_shop.count(Deletion) == 0
