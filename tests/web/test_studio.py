"""The studio as a browser without JavaScript uses it."""

from __future__ import annotations

from flask import Flask

from tests.app_factory import Person, Queue
from tests.pages import parse_html
from tests.web.steps import HTMX, PASSWORD, order, submit


def test_a_guest_makes_three_images_and_is_then_invited_to_sign_up(
    guest: Person, queue: Queue
) -> None:
    for number in range(3):
        answer = submit(guest, f"a harbour at dusk {number}")
        assert answer.status_code == 303
        queue.run()
        assert guest.page(answer.location).has(".generation-made")
    refused = submit(guest, "one more")
    assert refused.status_code == 429
    assert "Sign up" in refused.text
    assert refused.headers["Retry-After"].isdecimal()


def test_a_guest_sees_how_many_free_images_are_left(guest: Person) -> None:
    page = guest.browser.get("/").text
    assert "3 free images, no account needed." in page
    assert "free to try" in page
    for left in ("2 free images left, no account", "1 free image left, no account", ""):
        fields = order(guest, "a fox", model="flux-dev")
        pressed = guest.post("/generations", fields, headers=HTMX)
        news = guest.post("/studio/price", headers=HTMX)
        for part in (pressed, news):
            allowance = parse_html(part.text).one("#allowance")
            assert allowance["hx-swap-oob"] == "true"
            assert allowance.text.startswith(left)
            assert allowance.has_attribute("hidden") == (not left)
        assert ("free to try" in news.text) == bool(left)
    page = guest.browser.get("/").text
    assert "no account needed" not in page
    assert "free to try" not in page


def test_a_member_sees_the_balance_move(alice: Person, queue: Queue) -> None:
    answer = submit(alice, "a lighthouse", model="nano-banana-pro", n="2")
    assert answer.status_code == 303
    assert alice.balance() == 46
    queue.run()
    assert alice.balance() == 46
    assert alice.call("GET", "/api/credits").json["credits"]["held"] == 0


def test_a_press_with_htmx_answers_the_card_and_the_new_price(alice: Person, queue: Queue) -> None:
    fields = order(alice, "a fox", model="flux-dev")
    answer = alice.post("/generations", fields, headers=HTMX)
    assert answer.status_code == 202
    assert answer.headers["HX-Trigger-After-Settle"] == "balance-changed"
    assert "<html" not in answer.text
    assert "job-card-queued" in answer.text
    assert 'id="price-panel"' in answer.text
    assert "hx-swap-oob" in answer.text
    # The nonce is a new one, so that the next press is a wish of its own.
    page = parse_html(answer.text)
    assert page.value("nonce") != fields["nonce"]
    card = page.one("article[hx-get]")["hx-get"]
    waiting = alice.browser.get(card, headers=HTMX)
    assert "HX-Trigger" not in waiting.headers
    queue.run()
    done = alice.browser.get(card, headers=HTMX)
    assert "job-card-succeeded" in done.text
    assert "balance-changed" in done.headers["HX-Trigger"]
    assert "49" in alice.page("/credits/balance", headers=HTMX).text


def test_without_scripts_a_changed_choice_shows_its_price_and_keeps_the_words(
    alice: Person,
) -> None:
    wish = {"prompt": "a <fox>", "model": "gpt-image", "quality": "high", "n": "2"}
    answer = alice.post("/studio", wish)
    assert answer.status_code == 200
    form = parse_html(answer.text).fields()
    assert (form["prompt"], form["shown_micro"]) == ("a <fox>", "16000000")
    assert alice.balance() == 50


def test_the_till_follows_every_parameter(alice: Person) -> None:
    def cost(**choice: str) -> int:
        part = parse_html(alice.post("/studio/price", choice, headers=HTMX).text)
        assert not part.has("html")
        return int(part.value("shown_micro"))

    assert cost(model="nano-banana") == 500_000
    assert cost(model="nano-banana", n="3") == 1_500_000
    assert cost(model="gpt-image", quality="low") == 1_000_000
    assert cost(model="gpt-image", quality="high", n="4") == 32_000_000
    for nonsense in ({"model": "none"}, {"n": "99"}, {"size": "1x1"}, {"choose": "n=2&model=%00"}):
        assert cost(**nonsense) > 0


def test_an_address_may_carry_a_wish(alice: Person) -> None:
    query = {"prompt": "a fox & a hen", "model": "nano-banana-pro", "n": "2"}
    form = alice.page("/", query_string=query).fields()
    assert (form["prompt"], form["shown_micro"]) == ("a fox & a hen", "4000000")
    assert alice.balance() == 50


def test_a_buyer_who_comes_back_from_paying_finds_the_same_choice(alice: Person) -> None:
    choice = {"model": "gpt-image", "quality": "high", "size": "1536x1024", "n": "2"}
    alice.post("/studio/price", choice, headers=HTMX)
    form = alice.page("/?purchase=success").fields()
    assert (form["model"], form["shown_micro"]) == ("gpt-image", "16000000")
    form = alice.page("/?model=flux-dev&n=1").fields()
    assert (form["model"], form["shown_micro"]) == ("flux-dev", "1000000")


def test_canceling_a_queued_generation_costs_nothing(alice: Person, queue: Queue) -> None:
    path = submit(alice, "a fox", model="flux-dev").location
    assert alice.balance() == 49
    answer = alice.post(f"{path}/cancel")
    assert (answer.status_code, answer.location) == (303, path)
    assert "job-card-canceled" in alice.browser.get(path).text
    assert alice.balance() == 50
    queue.run()
    assert alice.balance() == 50
    assert alice.post(f"{path}/cancel").status_code == 409


def test_a_session_that_ended_elsewhere_spends_nobodys_credits(app: Flask, alice: Person) -> None:
    phone = Person(app)
    phone.post("/auth/login", {"email": "alice@example.com", "password": PASSWORD})
    fields = phone.page("/").fields()
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
