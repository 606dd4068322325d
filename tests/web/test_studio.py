"""The studio as a browser without JavaScript uses it."""

from __future__ import annotations

import re

from flask import Flask

from tests.app_factory import Person, Queue
from tests.web.steps import HTMX, PASSWORD, hidden_fields


def test_a_guest_makes_three_images_and_is_then_invited_to_sign_up(
    guest: Person, queue: Queue
) -> None:
    for number in range(3):
        answer = make(guest, f"a harbour at dusk {number}")
        assert answer.status_code == 303
        queue.run()
        page = guest.browser.get(answer.location)
        assert "job-succeeded" in page.text, page.text[page.text.index("<article") :][:1800]
    refused = make(guest, "one more")
    assert refused.status_code == 429
    assert "Sign up" in refused.text
    assert refused.headers["Retry-After"].isdecimal()


def test_what_is_said_to_be_free_follows_what_is_left(guest: Person) -> None:
    page = guest.browser.get("/").text
    assert "3 free images, no account needed." in page
    assert "free to try" in page
    for left in ("2 free images left, no account", "1 free image left, no account", "hidden></p>"):
        nonce = guest.browser.get("/").text.split('name="nonce" value="')[1].split('"')[0]
        wish = {"prompt": "a fox", "model": "flux-dev", "nonce": nonce}
        pressed = guest.post("/generations", wish, headers={"HX-Request": "true"})
        news = guest.browser.get("/studio/till", headers={"HX-Request": "true"})
        for part in (pressed, news):
            said = part.text.split('id="allowance"')[1].split("</p>")[0] + "</p>"
            assert 'hx-swap-oob="true"' in said
            assert left in said
        assert ("free to try" in news.text) == ("left" in left)
    page = guest.browser.get("/").text
    assert "no account needed" not in page
    assert "free to try" not in page


def test_a_member_sees_the_balance_move(alice: Person, queue: Queue) -> None:
    answer = make(alice, "a lighthouse", model="nano-banana-pro", n="2")
    assert answer.status_code == 303
    assert alice.balance() == 46
    queue.run()
    assert alice.balance() == 46
    assert alice.call("GET", "/api/credits").json["credits"]["held"] == 0


def make(person: Person, prompt: str, **fields: str):  # type: ignore[no-untyped-def]
    """Fill in the studio's form and press the button."""
    page = person.browser.get("/").text
    nonce = page.split('name="nonce" value="')[1].split('"')[0]
    return person.post("/generations", {"prompt": prompt, "nonce": nonce, **fields})


def test_a_press_with_htmx_answers_the_card_and_the_new_price(alice: Person, queue: Queue) -> None:
    page = alice.browser.get("/").text
    nonce = page.split('name="nonce" value="')[1].split('"')[0]
    wish = {"prompt": "a fox", "model": "flux-dev", "nonce": nonce}
    answer = alice.post("/generations", wish, headers=HTMX)
    assert answer.status_code == 202
    assert answer.headers["HX-Trigger-After-Settle"] == "balance-changed"
    assert "<html" not in answer.text
    assert "job-queued" in answer.text
    assert 'id="price-panel"' in answer.text
    assert "hx-swap-oob" in answer.text
    # The nonce is a new one, so that the next press is a wish of its own.
    assert f'value="{nonce}"' not in answer.text
    path = answer.text.split("/card")[0].rpartition('"')[2]
    waiting = alice.browser.get(f"{path}/card", headers=HTMX)
    assert "HX-Trigger" not in waiting.headers
    queue.run()
    done = alice.browser.get(f"{path}/card", headers=HTMX)
    assert "job-succeeded" in done.text
    assert done.headers["HX-Trigger"] == "balance-changed"
    assert ">49<" in alice.browser.get("/credits/balance", headers=HTMX).text.replace("\n", "")


def test_without_scripts_a_changed_choice_shows_its_price_and_keeps_the_words(
    alice: Person,
) -> None:
    wish = {"prompt": "a <fox>", "model": "gpt-image", "quality": "high", "n": "2"}
    page = alice.post("/studio", wish)
    assert page.status_code == 200
    assert "a &lt;fox&gt;" in page.text
    assert 'name="shown_micro" value="16000000"' in page.text
    assert alice.balance() == 50


def test_the_till_follows_every_parameter(alice: Person) -> None:
    def cost(**choice: str) -> int:
        part = alice.browser.get("/studio/till", query_string=choice, headers=HTMX).text
        assert "<html" not in part
        return int(part.split('name="shown_micro" value="')[1].split('"')[0])

    assert cost(model="nano-banana") == 500_000
    assert cost(model="nano-banana", n="3") == 1_500_000
    assert cost(model="gpt-image", quality="low") == 1_000_000
    assert cost(model="gpt-image", quality="high", n="4") == 32_000_000
    for nonsense in ({"model": "none"}, {"n": "99"}, {"size": "1x1"}, {"choose": "n=2&model=%00"}):
        assert cost(**nonsense) > 0


def test_an_address_may_carry_a_wish(alice: Person) -> None:
    query = {"prompt": "a fox & a hen", "model": "nano-banana-pro", "n": "2"}
    page = alice.browser.get("/", query_string=query).text
    assert "a fox &amp; a hen" in page
    assert 'name="shown_micro" value="4000000"' in page
    assert alice.balance() == 50


def test_who_comes_back_from_paying_finds_the_same_choice(alice: Person) -> None:
    alice.browser.get("/studio/till?model=gpt-image&quality=high&size=1536x1024&n=2")
    page = alice.browser.get("/?purchase=success").text
    assert re.search(r'id="model-gpt-image"[^>]*checked', page)
    assert 'name="shown_micro" value="16000000"' in page
    asked_for = alice.browser.get("/?model=flux-dev&n=1").text
    assert 'name="shown_micro" value="1000000"' in asked_for


def test_what_waits_is_canceled_and_costs_nothing(alice: Person, queue: Queue) -> None:
    path = make(alice, "a fox", model="flux-dev").location
    assert alice.balance() == 49
    answer = alice.post(f"{path}/cancel")
    assert (answer.status_code, answer.location) == (303, path)
    assert "job-canceled" in alice.browser.get(path).text
    assert alice.balance() == 50
    queue.run()
    assert alice.balance() == 50
    assert alice.post(f"{path}/cancel").status_code == 409


def test_a_session_that_ended_elsewhere_spends_nobodys_credits(app: Flask, alice: Person) -> None:
    phone = Person(app)
    phone.post("/auth/login", {"email": "alice@example.com", "password": PASSWORD})
    form = phone.browser.get("/").text
    fields = hidden_fields(form)
    alice.post(
        "/settings/password", {"current_password": PASSWORD, "password": "a brand new password"}
    )
    wish = {**fields, "prompt": "a kept fox", "model": "gpt-image", "n": "1"}
    refused = phone.browser.post("/generations", data=wish)
    assert refused.status_code == 401
    assert "a kept fox" in refused.text
    assert "/auth/login" in refused.text
    assert alice.balance() == 50


def test_only_its_own_methods_are_answered(guest: Person) -> None:
    assert guest.post("/").status_code == 405
    assert guest.browser.get("/studio").status_code == 405
    assert guest.browser.get("/generations").status_code == 405
