"""The database's schema: brought to this version by Alembic, quickly where nothing is to do."""

from __future__ import annotations

import re
from pathlib import Path

from flask import current_app
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from creditapp import accounts, emails, guests, ledger
from creditapp.catalog import versions
from creditapp.config import Settings
from creditapp.db import Base, snapshot
from creditapp.generation import models as generation_models
from creditapp.ledger import models as ledger_models
from creditapp.payments import customers
from creditapp.payments.auto_topup import models as auto_topup_models
from creditapp.payments.purchases import models as purchases_models
from creditapp.payments.subscriptions import models as subscriptions_models
from creditapp.services import get

TABLES_IN = (
    accounts,
    emails,
    generation_models,
    guests,
    ledger_models,
    customers,
    auto_topup_models,
    purchases_models,
    subscriptions_models,
    versions,
)
"""The modules whose import makes ``Base.metadata`` whole."""

MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "migrations"
_REVISION = re.compile(r"(\d{4})_\w+\.py")


def create_all(connection: Connection) -> None:
    """Make the whole schema at once on an empty database, as the migrations make it step by step.

    For tests, of which one compares the two.
    """
    Base.metadata.create_all(connection)
    ledger.install_triggers(connection)


def newest() -> str:
    """Return the newest revision: the migrations are numbered, so it is the last file's."""
    found = (_REVISION.fullmatch(path.name) for path in (MIGRATIONS / "versions").iterdir())
    return max(match[1] for match in found if match)


def upgrade(revision: str = "head") -> None:
    """Run the migrations that are missing. Alembic is imported only when there is one."""
    get(Settings).data_dir.mkdir(parents=True, exist_ok=True)
    if revision == "head" and _current() == newest():
        return
    _run("upgrade", revision)


def downgrade(revision: str = "base") -> None:
    """Undo migrations down to a revision."""
    _run("downgrade", revision)


def _current() -> str | None:
    try:
        with snapshot() as session:
            found: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    except DatabaseError:
        return None  # an empty database: there is no such table yet
    return found


def _run(direction: str, revision: str) -> None:
    import flask_migrate

    from creditapp.db import db

    flask_migrate.Migrate(current_app, db, directory=str(MIGRATIONS), render_as_batch=True)
    {"upgrade": flask_migrate.upgrade, "downgrade": flask_migrate.downgrade}[direction](
        revision=revision
    )
