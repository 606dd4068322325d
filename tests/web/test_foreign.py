"""Requests that another site's page makes a browser send have no effect."""

from __future__ import annotations

import pytest

from tests.app_factory import Person

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: next(iter(headers.values())))
@pytest.mark.parametrize("path", ["/generations", "/nope", "/auth/logout", "/credits/checkout"])
def test_a_foreign_form_neither_changes_nor_replaces_cookies(
    guest: Person, path: str, headers: dict[str, str]
) -> None:
    answer = guest.browser.post(path, data={"prompt": "attacker words"}, headers=headers)
    assert answer.status_code in (303, 401, 403, 404, 405)
    assert answer.headers.getlist("Set-Cookie") == []


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: next(iter(headers.values())))
def test_a_foreign_forms_text_is_not_shown_as_typed(guest: Person, headers: dict[str, str]) -> None:
    answer = guest.browser.post("/generations", data={"prompt": "attacker words"}, headers=headers)
    assert answer.status_code == 403
    assert "attacker words" not in answer.text


def test_an_expired_page_of_ours_keeps_what_was_typed(guest: Person) -> None:
    answer = guest.browser.post(
        "/generations", data={"prompt": "my own words"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status_code == 403
    assert "my own words" in answer.text


def test_cacheable_files_set_no_session_cookie(alice: Person) -> None:
    for path in ("/static/vendor/htmx.js", "/static/css/tokens.css", "/healthz"):
        assert alice.browser.get(path).headers.getlist("Set-Cookie") == []


@pytest.mark.parametrize(
    "path",
    [
        "/?choose=" + "&".join(f"n={n}" for n in range(9)),
        "/?n=" + "9" * 5000,
        "/?operation=video&seconds=" + "9" * 5000,
        "/?operation=lipsync&image=none&audio=upl_none",
        "/?operation=image-to-image&images=" + "a" * 5000,
        "/?operation=chat&compare=1&models=none",
    ],
)
def test_a_strange_url_is_no_server_error(guest: Person, path: str) -> None:
    assert guest.browser.get(path).status_code == 200


def test_a_strange_price_is_no_server_error(alice: Person) -> None:
    answer = alice.post(
        "/generations", {"prompt": "a boat", "n": "9" * 5000, "shown_micro": "9" * 5000}
    )
    assert answer.status_code == 422
