"""Schema migrations: bring the database to this version, or refuse an unknown schema."""

from __future__ import annotations

from pathlib import Path

from flask import current_app
from sqlalchemy import Connection, inspect, text

from creditapp import accounts, emails, guests, ledger
from creditapp.catalog import versions
from creditapp.chat import models as chat_models
from creditapp.config import Settings, SettingsInvalid
from creditapp.credentials import models as credentials_models
from creditapp.db import db, snapshot
from creditapp.generation import models as generation_models
from creditapp.ledger import models as ledger_models
from creditapp.payments import customers, webhooks
from creditapp.payments.auto_topup import models as auto_topup_models
from creditapp.payments.purchases import models as purchases_models
from creditapp.payments.refunds import models as refunds_models
from creditapp.payments.subscriptions import models as subscriptions_models
from creditapp.services import get

TABLES_IN = (
    accounts,
    chat_models,
    credentials_models,
    emails,
    generation_models,
    guests,
    ledger_models,
    customers,
    auto_topup_models,
    purchases_models,
    refunds_models,
    subscriptions_models,
    versions,
    webhooks,
)
"""Importing these modules completes ``db.metadata``."""

MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "migrations"


def create_all(connection: Connection) -> None:
    """Create the whole schema on an empty database without the migrations.

    For tests; one of them compares the result with that of the migrations.
    """
    db.metadata.create_all(connection)
    ledger.install_triggers(connection)


def newest() -> str:
    """Return the newest revision: file names are numbered, and a file is named by its revision."""
    return max(revisions())


def upgrade(revision: str = "head") -> None:
    """Run the missing migrations. Alembic is imported only when there is one.

    Raises ``SettingsInvalid`` when the database's schema is of no known revision.
    """
    _refuse_other_encoding()
    current = _current()
    if revision == "head" and current == newest():
        return
    _refuse_unreleased_schema(current)
    _run("upgrade", revision)


def downgrade(revision: str = "base") -> None:
    """Undo migrations down to a revision."""
    _run("downgrade", revision)


def revisions() -> set[str]:
    """Return every revision that this version knows."""
    return {path.stem for path in (MIGRATIONS / "versions").glob("*.py")}


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database's schema; None for one without migrations."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _current() -> str | None:
    with snapshot() as session:
        return revision_of(session.connection())


def _refuse_other_encoding() -> None:
    """Raise ``SettingsInvalid`` for a PostgreSQL database that cannot store every character."""
    if db.engine.dialect.name != "postgresql":
        return
    with snapshot() as session:
        encoding = session.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise SettingsInvalid(
            f"DATABASE_URL: the database's encoding is {encoding}: create it with ENCODING 'UTF8'."
        )


def _refuse_unreleased_schema(current: str | None) -> None:
    """Raise ``SettingsInvalid`` for tables that no migration of this version made."""
    if current in revisions():
        return
    with db.engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
    if current is None and tables.isdisjoint(db.metadata.tables):
        return
    data_dir, path = get(Settings).data_dir, Path(db.engine.url.database or "")
    if db.engine.dialect.name == "sqlite" and data_dir in path.resolve().parents:
        where, setting = str(data_dir), "CREDITAPP_DATA"
    else:
        where, setting = "The database in DATABASE_URL", "DATABASE_URL"
    raise SettingsInvalid(
        f"{where} was made by an unreleased version of CreditApp: move it away or set {setting}."
    )


def _run(direction: str, revision: str) -> None:
    import flask_migrate

    flask_migrate.Migrate(current_app, db, directory=str(MIGRATIONS), render_as_batch=True)
    {"upgrade": flask_migrate.upgrade, "downgrade": flask_migrate.downgrade}[direction](
        revision=revision
    )
