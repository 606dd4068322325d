"""Deletion hides at once, can be undone for ten seconds, and then erases files and prompts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from creditapp.accounts import find_by_email
from creditapp.clock import StoppedClock, now
from creditapp.db import db, snapshot
from creditapp.errors import NotFound
from creditapp.generation import Caller, deletion, submit
from creditapp.generation.models import Asset, Deletion, Generation
from creditapp.generation.operations.image_to_image import EditOrder
from creditapp.guests import COOKIE_LIFETIME, Visitor
from creditapp.media import Media
from creditapp.runtime import demo_data, tasks
from creditapp.services import get
from tests.app_factory import Person
from tests.generation.studio import Studio

Response = Any


def ids_of(studio: Studio) -> list[str]:
    return [asset.id for asset in sorted(studio.assets(), key=lambda asset: asset.position)]


def delete(person: Person, *asset_ids: str) -> Response:
    data = {"csrf_token": person.token(), "images": list(asset_ids)}
    return person.browser.post("/images/delete", data=data)


def undo(person: Person, deletion_id: str) -> Response:
    return person.post("/images/restore", {"deletion": deletion_id})


def the_deletion(studio: Studio) -> str:
    with studio.app.app_context(), snapshot() as session:
        return session.scalars(select(Deletion.id)).one()


def sweep(studio: Studio, clock: StoppedClock, seconds: float = deletion.UNDO_SECONDS) -> int:
    clock.advance(timedelta(seconds=seconds))
    with studio.app.app_context():
        return deletion.sweep(now=now())


def test_one_of_several_goes_and_the_others_stay(
    alice: Person, studio: Studio, clock: StoppedClock
) -> None:
    row = studio.make(alice, n=3)
    first, second, third = ids_of(studio)
    assert delete(alice, second).status_code == 303
    assert alice.browser.get(f"/media/{second}").status_code == 404
    shown = alice.call("GET", f"/api/generations/{row.id}").json["assets"]
    assert [asset["url"] for asset in shown] == [f"/media/{first}", f"/media/{third}"]
    files = len(studio.files())
    assert sweep(studio, clock) == 1
    assert len(studio.files()) < files
    assert ids_of(studio) == [first, third]
    assert studio.generation(row.id).prompt
    assert alice.browser.get(f"/media/{first}").status_code == 200
    studio.check()


def test_the_last_one_takes_the_generation_and_its_prompt_with_it(
    alice: Person, studio: Studio, clock: StoppedClock
) -> None:
    row = studio.make(alice, n=2)
    first, second = ids_of(studio)
    delete(alice, first)
    delete(alice, second)
    assert alice.browser.get(f"/generations/{row.id}").status_code == 404
    assert studio.generation(row.id).prompt, "it may still be restored"
    assert sweep(studio, clock) == 2
    assert studio.files() == set()
    assert studio.assets() == []
    erased = studio.generation(row.id)
    assert (erased.prompt, erased.negative_prompt, erased.parameters) == ("", None, {})
    assert erased.deletion_id is None
    assert alice.balance() == 49
    studio.check()


def test_undo_brings_back_everything(alice: Person, studio: Studio, clock: StoppedClock) -> None:
    row = studio.make(alice, n=2)
    first, second = ids_of(studio)
    delete(alice, first, second)
    assert alice.browser.get(f"/generations/{row.id}").status_code == 404
    clock.advance(timedelta(seconds=deletion.UNDO_SECONDS - 1))
    assert undo(alice, the_deletion(studio)).status_code == 303
    for asset_id in (first, second):
        assert alice.browser.get(f"/media/{asset_id}").status_code == 200
    assert alice.browser.get(f"/generations/{row.id}").status_code == 200
    assert sweep(studio, clock) == 0
    assert alice.browser.get(f"/media/{first}").status_code == 200


def test_undo_of_an_earlier_deletion_shows_the_generation_again(
    alice: Person, studio: Studio, clock: StoppedClock
) -> None:
    row = studio.make(alice, n=2)
    first, second = ids_of(studio)
    delete(alice, first)
    earlier = the_deletion(studio)
    delete(alice, second)
    assert undo(alice, earlier).status_code == 303
    assert sweep(studio, clock) == 1
    assert ids_of(studio) == [first]
    assert studio.generation(row.id).prompt
    assert alice.browser.get(f"/generations/{row.id}").status_code == 200
    studio.check()


def test_undo_is_refused_when_it_is_too_late_and_when_it_is_done(
    alice: Person, studio: Studio, clock: StoppedClock
) -> None:
    studio.make(alice, n=2)
    first, second = ids_of(studio)
    delete(alice, first)
    done = the_deletion(studio)
    assert undo(alice, done).status_code == 303
    assert undo(alice, done).status_code == 404
    delete(alice, second)
    late = the_deletion(studio)
    clock.advance(timedelta(seconds=deletion.UNDO_SECONDS))
    assert undo(alice, late).status_code == 409
    assert sweep(studio, clock, 0) == 1
    assert undo(alice, late).status_code == 404
    for nonsense in ("", "del_" + "0" * 26, "a\0b"):
        assert undo(alice, nonsense).status_code == 404


def test_a_stranger_neither_deletes_nor_restores(
    alice: Person, charlie: Person, guest: Person, studio: Studio
) -> None:
    studio.make(alice, n=2)
    first, second = ids_of(studio)
    for stranger in (charlie, guest):
        assert delete(stranger, first).status_code == 404
    assert delete(alice, first, "ast_" + "0" * 26, "a\0b").status_code == 303
    for stranger in (charlie, guest):
        assert undo(stranger, the_deletion(studio)).status_code == 404
        assert delete(stranger, first, second).status_code == 404
    assert alice.browser.get(f"/media/{second}").status_code == 200


def test_an_image_of_one_that_is_still_made_is_kept(alice: Person, studio: Studio) -> None:
    row = studio.make(alice, n=2)
    first, _ = ids_of(studio)
    studio.set(row.id, state="running")
    assert delete(alice, first).status_code == 409
    assert alice.browser.get(f"/media/{first}").status_code == 200
    assert alice.page("/gallery").one(f'[data-asset="{first}"] .meta .amount').text == "0.5 credits"
    assert "generation-images" not in alice.browser.get(f"/generations/{row.id}").text
    studio.set(row.id, state="succeeded")
    assert delete(alice, first).status_code == 303


def test_a_second_deletion_finds_nothing(alice: Person, studio: Studio) -> None:
    row = studio.make(alice)
    (only,) = ids_of(studio)
    assert delete(alice, only).status_code == 303
    assert delete(alice, only).status_code == 404
    assert alice.post(f"/generations/{row.id}/delete").status_code == 404
    assert alice.post("/images/delete").status_code == 422


def together(*actions: Callable[[], object]) -> list[object]:
    """Run actions at the same moment; return their results, an exception as itself."""
    barrier, results = threading.Barrier(len(actions)), list[object]([None] * len(actions))

    def run(number: int, action: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results[number] = action()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_last_two_deleted_at_once_hide_the_generation(alice: Person, studio: Studio) -> None:
    token = alice.token()
    for _ in range(4):
        row = studio.make(alice, n=2)
        pair = [asset.id for asset in studio.assets() if asset.generation_id == row.id]
        answers = together(*(lambda each=each: _post(alice, token, each) for each in pair))
        assert answers == [303, 303]
        assert studio.generation(row.id).deleted_at is not None


def test_one_deleted_by_two_at_once_is_deleted_once(alice: Person, studio: Studio) -> None:
    token = alice.token()
    for _ in range(4):
        row = studio.make(alice)
        (only,) = [asset.id for asset in studio.assets() if asset.generation_id == row.id]
        answers = together(*[lambda: _post(alice, token, only)] * 2)  # noqa: B023  # joined above
        assert sorted(map(str, answers)) == ["303", "404"]


def test_undo_and_the_sweep_at_once_never_leave_an_image_without_its_file(
    alice: Person, studio: Studio, clock: StoppedClock
) -> None:
    token = alice.token()
    for _ in range(6):
        row = studio.make(alice)
        (asset,) = [asset for asset in studio.assets() if asset.generation_id == row.id]
        delete(alice, asset.id)
        deletion_id = the_deletion(studio)

        def erase(deletion_id: str = deletion_id) -> None:
            with studio.app.app_context():
                deletion.erase(deletion_id, now=now())

        def restore(deletion_id: str = deletion_id) -> int:
            browser = studio.app.test_client()
            browser._cookies = alice.browser._cookies
            data = {"csrf_token": token, "deletion": deletion_id}
            return browser.post("/images/restore", data=data).status_code

        status, _ = together(restore, erase)
        is_stored = any(each.id == asset.id for each in studio.assets())
        with studio.app.app_context():
            has_file = get(Media).path(asset.media_key).exists()
        assert status in (303, 404, 409)
        assert (status == 303) == is_stored == has_file
        studio.check()


def test_a_crash_after_the_files_leaves_it_hidden_and_the_next_sweep_erases_it(
    alice: Person, studio: Studio, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = studio.make(alice, n=2)
    pair = ids_of(studio)
    delete(alice, *pair)
    with monkeypatch.context() as broken, studio.app.app_context():
        broken.setattr(deletion, "_generations_of", _crash)
        clock.advance(timedelta(seconds=deletion.UNDO_SECONDS))
        assert deletion.sweep(now=now()) == 0
    assert studio.files() == set()
    assert len(studio.assets()) == 2
    assert undo(alice, the_deletion(studio)).status_code == 409
    assert alice.browser.get(f"/media/{pair[0]}").status_code == 404
    assert sweep(studio, clock) == 1
    assert (studio.assets(), studio.generation(row.id).prompt) == ([], "")


def test_a_source_deleted_before_the_work_fails_it_and_charges_nothing(
    alice: Person, studio: Studio, clock: StoppedClock
) -> None:
    studio.make(alice)
    (source,) = ids_of(studio)
    order = EditOrder(prompt="with a hat", images=[source], model="nano-banana")
    with studio.app.app_context(), snapshot() as session:
        user = find_by_email(session, alice.email)
        assert user is not None
        by = Caller(demo_data._member(user), Visitor("none", ()))
    with studio.app.app_context():
        queued = submit(order, by, key="first", now=now()).generation
        delete(alice, source)
        with pytest.raises(NotFound):
            submit(order, by, key="second", now=now())
    sweep(studio, clock)
    studio.queue.run()
    row = studio.generation(queued.id)
    assert (row.state, row.charged_micro) == ("failed", 0)
    assert "deleted" in (row.error_text or "")
    assert alice.balance() == 49.5
    studio.check()


def test_adopted_images_are_the_accounts(guest: Person, studio: Studio) -> None:
    studio.make(guest)
    guest.sign_up("new@example.com")
    with studio.app.app_context(), snapshot() as session:
        owners = session.execute(
            select(Asset.owner_kind, Asset.owner_id, Generation.owner_id).join(
                Generation, Asset.generation_id == Generation.id
            )
        ).all()
    ((kind, owner_id, generations_owner),) = owners
    assert (kind, owner_id) == ("user", generations_owner)
    (asset,) = studio.assets()
    assert guest.browser.get(f"/media/{asset.id}").status_code == 200
    assert asset.id in guest.browser.get("/gallery").text


def test_a_guests_images_are_erased_when_the_cookie_has_ended(
    app: Flask, studio: Studio, clock: StoppedClock
) -> None:
    stranger, member = Person(app), Person(app)
    old, adopted = studio.make(stranger), studio.make(member)
    member.sign_up("new@example.com")
    clock.advance(COOKIE_LIFETIME - timedelta(days=1))
    new = studio.make(stranger)
    run_nightly(studio, clock)
    assert {asset.generation_id for asset in studio.assets()} == {old.id, adopted.id, new.id}

    clock.advance(timedelta(days=1))
    run_nightly(studio, clock)

    assets = studio.assets()
    assert {asset.generation_id for asset in assets} == {adopted.id, new.id}
    keys = {key for asset in assets for key in (asset.media_key, asset.thumbnail_key) if key}
    assert studio.files() == {key.rpartition("/")[2] for key in keys}
    prompts = [studio.generation(row.id).prompt for row in (old, adopted, new)]
    assert prompts == ["", adopted.prompt, new.prompt]
    studio.check()


def run_nightly(studio: Studio, clock: StoppedClock) -> None:
    """Run the nightly job, and the sweep of what it deleted."""
    with studio.app.app_context():
        tasks.forget()
    sweep(studio, clock)


def _post(person: Person, token: str, asset_id: str) -> int:
    browser = person.app.test_client()
    browser._cookies = person.browser._cookies
    data = {"csrf_token": token, "images": asset_id}
    return browser.post("/images/delete", data=data).status_code


def _crash(*_: object) -> None:
    db.session.close()
    raise OSError("the machine stopped")
