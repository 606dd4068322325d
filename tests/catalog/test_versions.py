"""Catalogs in the database: a file is imported once, an edit is not overwritten."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import delete, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from creditapp.catalog import CatalogInvalid, load_catalog, versions
from creditapp.catalog.load import preset_path, read_catalog_file
from creditapp.catalog.versions import CatalogVersion
from creditapp.db import transaction

Seen = TypeVar("Seen")
pytestmark = pytest.mark.databases("sqlite", "postgresql")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Shop:
    """A database without a catalog yet, and an operator's file."""
    with transaction(engine) as session:
        session.execute(delete(CatalogVersion))
    return Shop(engine, tmp_path / "shop.toml")


class Shop:
    """An operator who edits a file, and an admin who edits what is in force."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine = engine
        self.path = path
        self.write(50)

    def write(self, welcome: int) -> None:
        """Change the file."""
        studio = preset_path("studio").read_text(encoding="utf-8")
        self.path.write_text(
            studio.replace("welcome = 50", f"welcome = {welcome}"), encoding="utf-8"
        )

    def start(self, **options: bool) -> str | None:
        """Import the file as a start does; return the warning."""
        with transaction(self.engine) as session:
            return versions.import_file(session, self.path, now=NOW, **options).warning

    def edit(self, welcome: int) -> None:
        """Change the catalog in force, as the admin does."""
        with transaction(self.engine) as session:
            current = versions.active(session)
            assert current is not None
            assert current.version_id is not None
            content = versions.document(session, current.version_id)
            content["welcome"] = welcome
            versions.add_version(session, content, source="admin", now=NOW)

    @property
    def welcome(self) -> int:
        """The welcome credits in force."""
        catalog = self.read(versions.active)
        assert catalog is not None
        return catalog.welcome_micro // 1_000_000

    @property
    def count(self) -> int:
        """How many versions there are."""
        return self.read(lambda session: len(session.scalars(select(CatalogVersion)).all()))

    def read(self, query: Callable[[Session], Seen]) -> Seen:
        """Read from the database."""
        with Session(self.engine) as session:
            return query(session)


def test_the_first_start_puts_the_file_in_force(shop: Shop) -> None:
    assert shop.read(versions.active) is None
    assert shop.start() is None
    catalog = shop.read(versions.active)
    assert catalog is not None
    assert catalog.digest == load_catalog("studio").digest
    assert catalog.version == catalog.version_id
    assert catalog.version.startswith("cat_")


def test_a_second_start_changes_nothing(shop: Shop) -> None:
    shop.start()
    before = shop.read(versions.active)
    assert shop.start() is None
    assert shop.read(versions.active) is before
    assert shop.count == 1


def test_a_changed_file_becomes_the_next_version(shop: Shop) -> None:
    shop.start()
    shop.write(51)
    assert shop.start() is None
    assert (shop.welcome, shop.count) == (51, 2)


def test_a_file_that_is_put_back_is_in_force_again(shop: Shop) -> None:
    for welcome in (50, 51, 50):
        shop.write(welcome)
        shop.start()
    assert (shop.welcome, shop.count) == (50, 2)


def test_an_edit_stays_in_force_over_starts(shop: Shop) -> None:
    shop.start()
    shop.edit(70)
    assert shop.start() is None
    assert shop.welcome == 70


def test_a_changed_file_does_not_overwrite_an_edit_but_warns(shop: Shop) -> None:
    shop.start()
    shop.edit(70)
    shop.write(51)
    for _start in range(2):
        warning = shop.start()
        assert warning is not None
        assert warning.startswith("shop.toml has changed, but the catalog was edited since (admin)")
        assert "\n" not in warning
    assert (shop.welcome, shop.count) == (70, 2)


def test_the_operator_can_insist_on_the_file(shop: Shop) -> None:
    shop.start()
    shop.edit(70)
    shop.write(51)
    assert shop.start(force=True) is None
    assert shop.welcome == 51
    shop.write(52)
    assert shop.start() is None
    assert shop.welcome == 52


def test_an_edit_that_was_copied_into_the_file_is_no_edit_any_more(shop: Shop) -> None:
    shop.start()
    shop.edit(70)
    shop.write(70)
    assert shop.start() is None
    shop.write(71)
    assert shop.start() is None
    assert shop.welcome == 71


def test_an_admin_who_goes_back_to_an_older_file_is_not_overruled(shop: Shop) -> None:
    shop.start()
    shop.write(51)
    shop.start()
    shop.edit(50)
    assert shop.start() is None
    assert (shop.welcome, shop.count) == (50, 2)


def test_another_preset_is_taken_up_where_it_was_left(shop: Shop) -> None:
    shop.start()
    shop.edit(70)
    with transaction(shop.engine) as session:
        assert versions.import_file(session, "dollars", now=NOW).catalog.name == "dollars"
    assert shop.read(versions.active).name == "dollars"
    assert shop.start() is None
    assert shop.welcome == 70


def test_a_pinned_version_can_be_read_again(shop: Shop) -> None:
    shop.start()
    old = shop.read(versions.active)
    assert old is not None
    shop.write(51)
    shop.start()
    found = shop.read(lambda session: versions.pinned(session, old.version))
    assert found == old
    assert shop.read(lambda session: versions.pinned(session, "cat_0")) is None
    assert shop.read(lambda session: versions.document(session, "cat_0")) == {}
    sources = shop.read(lambda session: session.scalars(select(CatalogVersion.source)).all())
    assert sources == ["file", "file"]


def test_a_clock_that_goes_back_does_not_bring_an_old_catalog_back(shop: Shop) -> None:
    shop.start()
    shop.write(51)
    with transaction(shop.engine) as session:
        versions.import_file(session, shop.path, now=NOW - timedelta(days=1))
    assert shop.welcome == 51


def test_a_bad_edit_leaves_no_trace(shop: Shop) -> None:
    shop.start()
    with transaction(shop.engine) as session:
        _, content = read_catalog_file("studio")
        content["welcome"] = -1
        with pytest.raises(CatalogInvalid, match=r"the edited catalog \(sync\): welcome: must"):
            versions.add_version(session, content, source="sync", now=NOW)
    assert (shop.welcome, shop.count) == (50, 1)


def test_processes_that_start_at_once_agree_on_one_version(shop: Shop) -> None:
    with ThreadPoolExecutor(4) as threads:
        warnings = list(threads.map(lambda _start: shop.start(), range(4)))
    assert warnings == [None] * 4
    assert (shop.welcome, shop.count) == (50, 1)


def test_the_database_refuses_a_second_version_with_the_same_content(shop: Shop) -> None:
    shop.start()
    with transaction(shop.engine) as session:
        row = session.scalars(select(CatalogVersion)).one()
        copy = CatalogVersion(
            id="cat_copy",
            name=row.name,
            digest=row.digest,
            source="admin",
            content=row.content,
            created_at=NOW,
        )
        session.add(copy)
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()
