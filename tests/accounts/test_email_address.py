"""Which texts are addresses, which spellings are one mailbox, which mailboxes are one person."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditapp.accounts import AddressInvalid, find_address, parse_address

SECRET = "a secret"
LOCAL = st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){0,2}", fullmatch=True)
DOMAIN = st.from_regex(r"[a-z][a-z0-9]{0,9}\.(com|org|example)", fullmatch=True)


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("alice@example.com", "alice@example.com"),
        ("  Alice.B+x@EXAMPLE.Com ", "alice.b+x@example.com"),
        ("o'neil_1%a@sub.example.co.uk", "o'neil_1%a@sub.example.co.uk"),
        ("bob@münchen.de", "bob@xn--mnchen-3ya.de"),
        ("bob@MÜNCHEN.de", "bob@xn--mnchen-3ya.de"),
        ("bob@xn--mnchen-3ya.de", "bob@xn--mnchen-3ya.de"),
        ("bob@straße.de", "bob@xn--strae-oqa.de"),
        ("bob@例え。jp", "bob@xn--r8jz45g.jp"),
        ("BOB@\u212aim.example", "bob@kim.example"),
    ],
)
def test_spellings_of_one_mailbox_have_one_key(typed: str, key: str) -> None:
    address = parse_address(typed)
    assert address.key == key
    assert address.typed == typed.strip()
    assert address.deliverable.isascii()


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "alice", "alice@", "@example.com", "alice@localhost", "a@b@example.com"),
        *("alice@example.com\nBcc: eve@example.com", "alice@exam ple.com", "al ice@example.com"),
        *("alice@example..com", "alice@.example.com", "alice@example.com.", "alice@-a.com"),
        *('"alice x"@example.com', ".alice@example.com", "alice.@example.com", "a..b@example.com"),
        *("alice@[127.0.0.1]", "alice@127.0.0.1", "аlice@example.com", "alice@exa_mple.com"),
        *("a" * 65 + "@example.com", "a@" + "b" * 64 + ".com", "a@" + "b." * 130 + "com"),
        *("alice@example.com,eve@example.com", "Alice <alice@example.com>", "a\0b@example.com"),
        *("alice@xn--a.com", "a@\ud800.com", "alice@xn--\udcff.com", "alice@exa‮mple.com"),
    ],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(AddressInvalid):
        parse_address(text)


@pytest.mark.parametrize("letter", ["\u212a", "\u0130", "\u017f"])
def test_a_letter_whose_other_case_is_ascii_names_nobody(letter: str) -> None:
    with pytest.raises(AddressInvalid):
        parse_address(f"{letter}im@example.com")


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_is_not(text: str) -> None:
    address = find_address(text)
    if address:
        assert address.key.isascii()
        assert address.deliverable.lower() == address.key
        assert parse_address(address.key).key == address.key
        assert not set(address.deliverable) & set("\r\n\0 <>,;")


@given(LOCAL, DOMAIN, st.data())
def test_case_never_matters(local: str, domain: str, data: st.DataObject) -> None:
    plain = f"{local}@{domain}"
    flips = data.draw(st.lists(st.booleans(), min_size=len(plain), max_size=len(plain)))
    shouted = "".join(c.upper() if up else c for c, up in zip(plain, flips, strict=True))
    assert parse_address(shouted).key == plain


@given(LOCAL, DOMAIN, st.text(string.ascii_lowercase + string.digits, max_size=8))
def test_a_tag_makes_another_mailbox_of_the_same_person(local: str, domain: str, tag: str) -> None:
    plain, tagged = parse_address(f"{local}@{domain}"), parse_address(f"{local}+{tag}@{domain}")
    assert plain.key != tagged.key
    assert plain.person_hash(SECRET) == tagged.person_hash(SECRET)


def test_gmail_ignores_dots_and_its_other_name() -> None:
    people = {
        parse_address(text).person_hash(SECRET)
        for text in ("a.lice@gmail.com", "alice+1@gmail.com", "ALICE@googlemail.com")
    }
    assert len(people) == 1
    assert parse_address("a.lice@example.com").person != parse_address("alice@example.com").person


@pytest.mark.parametrize(
    "mailbox",
    [
        ["a.li-ce@proton.me", "alice@protonmail.com", "al_ice@pm.me", "alice+1@protonmail.ch"],
        ["alice@icloud.com", "alice@me.com", "alice+x@mac.com"],
        ["alice@fastmail.com", "shop@alice.fastmail.com", "alice+shop@fastmail.com"],
        ["alice@yahoo.com", "alice-shop@yahoo.com", "alice-1@yahoo.com"],
        ["alice@yahoo.co.uk", "alice-shop@yahoo.co.uk"],
        ["alice@ymail.com", "alice-a-b@ymail.com"],
    ],
)
def test_every_alias_of_one_mailbox_is_one_person(mailbox: list[str]) -> None:
    assert len({parse_address(text).person for text in mailbox}) == 1
    assert len({parse_address(text).key for text in mailbox}) == len(mailbox), "each is an account"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann-marie@example.com", "ann@example.com"),
        ("ann.marie@icloud.com", "annmarie@icloud.com"),
        ("ann@yahoo.com", "ann@yahoo.co.uk"),
        ("shop@ann.example.com", "ann@example.com"),
        ("ann@proton.me", "ann@gmail.com"),
        ("-a@yahoo.com", "-b@yahoo.com"),
        ("_-@proton.me", "ann@proton.me"),
    ],
)
def test_what_another_provider_tells_apart_are_two_people(one: str, other: str) -> None:
    assert parse_address(one).person != parse_address(other).person


def test_an_address_that_is_all_tag_is_still_somebody() -> None:
    assert parse_address("+a@example.com").person == "+a@example.com"
    assert parse_address("+b@example.com").person != parse_address("+a@example.com").person


def test_the_person_hash_needs_the_secret() -> None:
    address = parse_address("alice@example.com")
    assert address.person_hash("one") != address.person_hash("other")
    assert "alice" not in address.person_hash("one")
    with pytest.raises(ValueError, match="secret"):
        address.person_hash("")
