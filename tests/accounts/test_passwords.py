"""Which passwords can be chosen, and how they are compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given, settings
from hypothesis import strategies as st

from creditapp.accounts import passwords
from creditapp.accounts.common_passwords import COMMON
from creditapp.errors import ValidationFailed

GOOD = "a long walk by the sea"


@pytest.fixture(autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Leave the work of hashing as it is."""
    passwords._random_hash.cache_clear()
    passwords.verify("", None)  # makes it anew
    yield
    passwords._random_hash.cache_clear()


@pytest.mark.parametrize("password", ["ten chars!", GOOD, "ü" * 5 + "öäß日本", "a b" * 42])
def test_a_good_password_can_be_chosen(password: str) -> None:
    assert passwords.password_problem(password, address="alice@example.com") is None


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("", "at least 10"),
        ("nine char", "at least 10"),
        ("ab1" * 43, "at most 128"),
        ("Alice.B@Example.com", "not your address"),
        ("alice.berger", "not your address"),
        ("password123", "most common"),
        ("PASSWORD123", "most common"),
        ("1234567890", "most common"),
        ("aaaaaaaaaaaa", "most common"),
        ("abababababab", "most common"),
        ("a long walk \ud800", "cannot be stored"),
    ],
)
def test_a_bad_one_is_told_what_to_change(password: str, said: str) -> None:
    address = "alice.b@example.com" if "@" in password else "alice.berger@example.com"
    with pytest.raises(ValidationFailed) as refusal:
        passwords.new_password(password, address=address, field_name="newPassword")
    assert refusal.value.errors[0]["field"] == "newPassword"
    assert said in refusal.value.errors[0]["message"]
    assert not password or password not in str(refusal.value)


def test_the_hash_is_argon2id_at_the_recommended_cost_and_salted() -> None:
    one, other = passwords.new_password(GOOD), passwords.new_password(GOOD)
    assert one.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one.hash != other.hash
    assert one.hash not in repr(one)
    assert not passwords.needs_rehash(one.hash)
    assert passwords.needs_rehash("$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$aGFzaA")


def test_only_the_right_password_matches() -> None:
    stored = passwords.new_password(GOOD).hash
    assert passwords.verify(GOOD, stored)
    for wrong in ("", GOOD + " ", GOOD.upper(), "\ud800", "x" * 1_000_000, "a\0b"):
        assert not passwords.verify(wrong, stored)
    assert not passwords.verify(GOOD, "no hash at all")
    assert not passwords.verify(GOOD, "")


def test_the_same_letters_from_another_keyboard_match() -> None:
    stored = passwords.new_password("caf\u00e9 by the sea").hash
    assert passwords.verify("cafe\u0301 by the sea", stored)


def test_an_unknown_address_costs_the_same_work_as_a_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Work rather than time is compared: other tests run beside this one."""
    stored = passwords.new_password(GOOD).hash
    work: list[list[str]] = []

    class Counted:
        @staticmethod
        def verify_phc_encoded(secret: bytes, encoded: str) -> None:
            work.append(encoded.split("$")[1:4])
            Argon2id.verify_phc_encoded(secret, encoded)

    monkeypatch.setattr(passwords, "Argon2id", Counted)
    assert not passwords.verify("another password", stored)
    assert not passwords.verify("another password", None)
    assert not passwords.verify("x" * 200, stored)
    assert len(work) == 3
    assert work[0] == work[1] == work[2]


@settings(max_examples=200)
@given(st.text(max_size=140))
def test_any_text_has_a_verdict(text: str) -> None:
    problem = passwords.password_problem(text)
    assert problem is None or problem.endswith(".")


def test_the_list_of_common_ones_holds_what_length_does_not_refuse() -> None:
    assert 500 < len(COMMON) < 3000
    assert all(len(each) >= passwords.CHARACTERS_MIN and each == each.lower() for each in COMMON)
