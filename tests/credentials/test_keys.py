"""People's own keys at rest: encrypted for their user and vendor, replaced, removed, renewed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from creditapp import accounts, credentials
from creditapp.accounts import AccountRules, User
from creditapp.catalog import Catalog, load_catalog
from creditapp.clock import StoppedClock, now
from creditapp.config import Settings
from creditapp.credentials import VENDORS, MissingApiKey, ProviderKey, Undecryptable, vendor_of
from creditapp.db import reading, snapshot, transaction
from creditapp.errors import ValidationFailed
from creditapp.services import get, provide
from tests.app_factory import Person, member

OPENAI, GOOGLE = VENDORS["openai"], VENDORS["google"]
KEY = "sk-proj-alices-own-key-of-the-tests-7Qx9"  # pragma: allowlist secret
OTHER_KEY = "sk-proj-another-key-of-the-tests-Zt41"  # pragma: allowlist secret


@pytest.fixture
def alice_id(app: Flask, alice: Person) -> str:
    """Alice's id."""
    return id_of(app, alice)


def id_of(app: Flask, person: Person) -> str:
    with app.app_context(), snapshot() as session:
        return session.scalars(select(User.id).where(User.email == person.email)).one()


def store(user_id: str, key: str = KEY) -> None:
    with transaction() as session:
        credentials.store_key(session, user_id, OPENAI, key, checked_at=None, now=now())


def find(user_id: str) -> str | None:
    return credentials.find_key(reading(), user_id, OPENAI)


def row_of(user_id: str) -> ProviderKey:
    (row,) = credentials.list_keys(reading(), user_id)
    return row


def test_a_stored_key_is_read_again_and_is_nowhere_in_the_row(app: Flask, alice_id: str) -> None:
    with app.app_context():
        store(alice_id)
        assert find(alice_id) == KEY
        assert credentials.list_vendors(reading(), alice_id) == {"openai"}
        row = row_of(alice_id)
        assert (row.last_characters, row.checked_at, row.problem) == ("7Qx9", None, None)
        (values,) = reading().execute(text("SELECT * FROM provider_keys")).all()
        assert KEY[:-4] not in str(values)


def test_a_second_key_takes_the_place_of_the_first(app: Flask, alice_id: str) -> None:
    with app.app_context():
        store(alice_id)
        store(alice_id, OTHER_KEY)
        assert find(alice_id) == OTHER_KEY
        assert row_of(alice_id).last_characters == "Zt41"


def test_a_row_copied_to_another_user_or_vendor_does_not_decrypt(
    app: Flask, alice_id: str, charlie: Person
) -> None:
    charlie_id = id_of(app, charlie)
    with app.app_context():
        store(alice_id)
        stolen = row_of(alice_id).encrypted_key
        for user_id, vendor in ((charlie_id, OPENAI), (alice_id, GOOGLE)):
            with transaction() as session:
                credentials.store_key(
                    session, user_id, vendor, OTHER_KEY, checked_at=None, now=now()
                )
                session.execute(
                    update(ProviderKey)
                    .where(ProviderKey.user_id == user_id, ProviderKey.vendor == vendor.id)
                    .values(encrypted_key=stolen)
                )
            with pytest.raises(MissingApiKey) as refused:
                credentials.find_key(reading(), user_id, vendor)
            assert (refused.value.status, refused.value.code) == (400, "missing_api_key")
            assert "can no longer be read" in refused.value.detail


def test_a_removed_key_and_those_of_a_deleted_account_are_gone(app: Flask, alice_id: str) -> None:
    with app.app_context():
        store(alice_id)
        for expected in (True, False):
            with transaction() as session:
                assert credentials.remove_key(session, alice_id, OPENAI) is expected
        assert find(alice_id) is None
        store(alice_id)
        with transaction() as session:
            user = session.get_one(User, alice_id)
            accounts.delete_account(session, user, get(AccountRules), now=now())
        assert reading().execute(text("SELECT * FROM provider_keys")).all() == []


@pytest.mark.parametrize(
    "typed",
    ["", "  ", "short", "with a space in the middle of it", "schlüssel-schlüssel", "x" * 401],
)
def test_what_is_no_key_is_refused_without_being_quoted(typed: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        credentials.parse_key(typed, "key")
    assert not typed.strip() or typed not in str(refused.value)
    assert refused.value.__context__ is None


def test_a_key_is_taken_without_the_spaces_around_it() -> None:
    assert credentials.parse_key(f" {KEY}\n", "key") == KEY


def test_a_problem_is_noted_for_the_key_that_had_it_and_ends_when_it_works_again(
    app: Flask, alice_id: str, clock: StoppedClock
) -> None:
    def note(key: str, problem: str | None) -> ProviderKey:
        clock.advance(timedelta(minutes=1))
        with transaction() as session:
            credentials.note_problem(session, alice_id, OPENAI, key, problem, now())
        return row_of(alice_id)

    with app.app_context():
        store(alice_id)
        assert note(OTHER_KEY, "refused").problem is None, "another key had it"
        assert (note(KEY, "refused").problem, row_of(alice_id).problem_at) == ("refused", now())
        fine = note(KEY, None)
        assert (fine.problem, fine.problem_at, fine.checked_at) == (None, None, now())
        with transaction() as session:
            credentials.remove_key(session, alice_id, OPENAI)
            credentials.note_problem(session, alice_id, OPENAI, KEY, "refused", now())
        assert credentials.list_keys(reading(), alice_id) == []


def test_a_new_secret_key_reads_nothing_unless_the_earlier_one_is_named(
    app: Flask, alice_id: str
) -> None:
    with app.app_context():
        settings = get(Settings)
        store(alice_id)
        renamed = settings.model_copy(update={"secret_key": "another secret key, long enough too"})
        provide(app, Settings, renamed)
        with pytest.raises(MissingApiKey):
            find(alice_id)
        with transaction() as session:
            assert credentials.reencrypt_keys(session) == (0, 1)

        earlier = renamed.model_copy(update={"previous_secret_keys": (settings.secret_key,)})
        provide(app, Settings, earlier)
        assert find(alice_id) == KEY
        with transaction() as session:
            assert credentials.reencrypt_keys(session) == (1, 0)
        provide(app, Settings, renamed)
        assert find(alice_id) == KEY, "re-encrypted under the new one"


def test_an_encrypted_text_belongs_to_its_binding(app: Flask) -> None:
    with app.app_context():
        encrypted = credentials.encrypt(KEY, "generation", "gen_1")
        assert credentials.decrypt(encrypted, "generation", "gen_1") == KEY
        for binding in (("generation", "gen_2"), ("generation",), ("generationgen_1",)):
            with pytest.raises(Undecryptable):
                credentials.decrypt(encrypted, *binding)


def test_an_account_starts_with_the_catalogs_mode(app: Flask) -> None:
    def modes() -> list[str]:
        with app.app_context(), snapshot() as session:
            return list(
                session.scalars(select(User.api_key_mode).order_by(User.created_at, User.id))
            )

    member(app, "alice")
    assert modes() == ["credits"]
    with app.app_context():
        provide(app, Catalog, get(Catalog).model_copy(update={"api_key_mode": "own"}))
    member(app, "bob")
    assert sorted(modes()) == ["credits", "own"], "the accounts of before keep theirs"


def test_only_the_two_modes_can_be_chosen(app: Flask, alice_id: str) -> None:
    with app.app_context():
        with transaction() as session:
            credentials.choose_mode(session, alice_id, "own")
        assert reading().get_one(User, alice_id).api_key_mode == "own"
        with pytest.raises(ValidationFailed), transaction() as session:
            credentials.choose_mode(session, alice_id, "free")


def test_each_model_of_the_shipped_catalogs_has_its_vendor_and_a_gateway_has_none() -> None:
    studio, dollars = load_catalog("studio"), load_catalog("dollars")
    named = {model.id: vendor_of(model) for model in (*studio.models, *dollars.language_models)}
    ids = {name: vendor and vendor.id for name, vendor in named.items()}
    assert (ids["nano-banana"], ids["gpt-image"], ids["flux-dev"]) == ("google", "openai", "fal")
    assert ids["claude-haiku-4-5"] == "anthropic"
    flux = studio.model("flux-dev")
    assert flux is not None
    assert vendor_of(flux.model_copy(update={"gateway": True})) is None
    assert vendor_of(flux.model_copy(update={"base_url_env": "GATEWAY_BASE_URL"})) is None
