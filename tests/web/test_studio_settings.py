"""The choice is kept: with the account, a guest's with the cookie, and carried into the account."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import select

from creditapp import accounts
from creditapp.accounts import AccountRules, User
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.services import get
from tests.app_factory import Person, Queue
from tests.web.steps import HTMX, log_in, make, submit

DEAR = {"operation": "text-to-image", "model": "gpt-image", "quality": "high", "n": "2"}


def settings(app: Flask, email: str) -> Any:
    with app.app_context():
        return reading().scalar(select(User.studio_settings).where(User.email == email))


def change(person: Person, **fields: str) -> None:
    assert person.post("/studio/price", fields, headers=HTMX).status_code == 200


def test_a_newcomer_finds_the_catalogs_model_and_a_recommendation_is_a_label(alice: Person) -> None:
    page = alice.page("/")
    assert page.fields()["model"] == "flux-dev"
    (recommended,) = page.all("#model-list .row:has(.model-why)")
    assert "Nano Banana Pro" in recommended.text
    assert not recommended.has("input[checked]")


def test_a_generation_with_the_preset_choice_keeps_it(
    app: Flask, alice: Person, queue: Queue
) -> None:
    submit(alice, "a fox", model="flux-dev", n="1", size="1024x1024")
    kept = settings(app, "alice@example.com")
    assert kept == {
        "operation": "text-to-image",
        "text-to-image": {"model": "flux-dev", "n": "1", "size": "1024x1024"},
    }
    queue.run()
    make(alice, queue, "another fox")
    assert alice.page("/").fields()["model"] == "nano-banana"


def test_another_browser_opens_on_the_last_operation_model_and_settings(
    app: Flask, alice: Person
) -> None:
    change(alice, **DEAR)
    change(alice, operation="audio", prompt="hello", voice="coral", format="wav")
    phone = Person(app)
    log_in(phone, "alice@example.com")
    fields = phone.page("/").fields()
    assert (fields["operation"], fields["voice"], fields["format"]) == ("audio", "coral", "wav")
    fields = phone.page("/?operation=text-to-image").fields()
    assert (fields["model"], fields["quality"], fields["n"]) == ("gpt-image", "high", "2")
    # Opening a page keeps nothing.
    assert settings(app, "alice@example.com")["operation"] == "audio"


def test_a_chosen_tab_is_remembered(app: Flask, alice: Person) -> None:
    change(alice, **DEAR)
    answer = alice.post("/studio", {"operation": "video", "prompt": "waves"}, headers=HTMX)
    assert "<html" not in answer.text
    fields = alice.page("/").fields()
    assert (fields["operation"], fields["seconds"]) == ("video", "5")
    assert settings(app, "alice@example.com")["text-to-image"]["model"] == "gpt-image"


def test_a_guests_choice_moves_into_the_account(app: Flask, guest: Person) -> None:
    change(guest, operation="text-to-image", model="lora-normal", size="1536x1024", n="1")
    assert guest.page("/").fields()["model"] == "lora-normal"
    guest.sign_up("new@example.com")
    fields = guest.page("/").fields()
    assert (fields["model"], fields["size"]) == ("lora-normal", "1536x1024")
    assert settings(app, "new@example.com")["text-to-image"]["model"] == "lora-normal"
    elsewhere = Person(app)
    log_in(elsewhere, "new@example.com")
    assert elsewhere.page("/").fields()["model"] == "lora-normal"


def test_an_accounts_own_choice_outlasts_a_guests(app: Flask, alice: Person) -> None:
    change(alice, **DEAR)
    borrowed = Person(app)
    change(borrowed, operation="text-to-image", model="nano-banana")
    log_in(borrowed, "alice@example.com")
    assert borrowed.page("/").fields()["model"] == "gpt-image"


def test_a_log_out_leaves_no_choice_behind(alice: Person) -> None:
    change(alice, **DEAR)
    alice.post("/auth/logout")
    assert alice.page("/").fields()["model"] == "flux-dev"


def test_texts_files_and_seeds_are_not_kept(app: Flask, alice: Person) -> None:
    change(
        alice,
        operation="image-to-image",
        prompt="a secret",
        model="flux-dev",
        negativePrompt="a worry",
        seed="7",
        images="upl_" + "0" * 26,
    )
    kept = str(settings(app, "alice@example.com"))
    assert "flux-dev" in kept
    for each in ("secret", "worry", "seed", "upl_"):
        assert each not in kept


def test_a_model_that_left_the_catalog_is_replaced_by_the_default(
    app: Flask, alice: Person
) -> None:
    change(alice, operation="text-to-image", model="of-yesterday", size="1x1", n="99")
    fields = alice.page("/").fields()
    assert (fields["model"], fields["size"], fields["n"]) == ("flux-dev", "1024x1024", "4")


def test_a_deleted_account_keeps_no_settings(app: Flask, alice: Person) -> None:
    change(alice, **DEAR)
    with app.app_context(), transaction() as session:
        user = session.scalars(select(User).where(User.email == "alice@example.com")).one()
        user_id = user.id
        accounts.delete_account(session, user, get(AccountRules), now=now())
    with app.app_context():
        assert reading().get_one(User, user_id).studio_settings is None
