"""Serving: the app with everything that runs beside its pages in the same process."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

import structlog
from flask import Flask
from sqlalchemy import text

from creditapp import create_app, jobs, use_catalog
from creditapp.catalog import Catalog, versions
from creditapp.clock import now
from creditapp.config import Settings, SettingsInvalid
from creditapp.db import snapshot, transaction
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.server import EmbeddedSandbox
from creditapp.runtime import migrate
from creditapp.services import get

FOLLOW_SECONDS: Final = 2.0
"""How long a process may go on selling by a catalog that another one has replaced."""

log = structlog.get_logger(__name__)


def build() -> Flask:
    """Return the app for the server's process, its jobs and its payment sandbox begun."""
    app = create_app()
    with app.app_context():
        prepare(app)
        settings = get(Settings)
        refuse_demo_leftovers()
        if settings.jobs == "embedded":
            jobs.start(app)
            atexit.register(jobs.stop)
        atexit.register(follow_catalog(app))
        gateway = get(StripeGateway)
        if isinstance(gateway, EmbeddedSandbox):
            atexit.register(gateway.start_deliveries().stop)
    return app


def prepare(app: Flask) -> None:
    """Bring the database to this version, and the catalog that is in force into the app.

    Called by every process at its start, within the app's context; doing it twice changes nothing.
    """
    settings = get(Settings)
    migrate.upgrade()
    with transaction() as session:
        imported = versions.import_file(session, settings.catalog, now=now())
    if imported.warning:
        log.warning("catalog not imported", reason=imported.warning)
    use_catalog(app, settings, imported.catalog)


def follow_catalog(app: Flask) -> Callable[[], None]:
    """Sell by the catalog in force, whichever process puts it there; return what ends that.

    Each process that serves or works looks every ``FOLLOW_SECONDS``: a price sync by command, or
    by a request that another process answered, reaches it without being started again.
    """
    ended = Event()

    def follow() -> None:
        while not ended.wait(FOLLOW_SECONDS):
            try:
                with app.app_context():
                    _take_catalog_in_force(app)
            except Exception as error:
                # A database that is away comes back; until then what was in force is sold.
                log.warning("catalog not looked up", error_type=type(error).__name__)

    Thread(target=follow, name="catalog", daemon=True).start()
    return ended.set


def _take_catalog_in_force(app: Flask) -> None:
    with snapshot() as session:
        if versions.active_id(session) in (None, get(Catalog).version_id):
            return
        catalog = versions.active(session)
    assert catalog is not None  # versions are never deleted
    use_catalog(app, get(Settings), catalog)
    log.info("catalog changed", version=catalog.version)


def refuse_demo_leftovers() -> None:
    """Raise ``SettingsInvalid`` where a demo's credits or pictures would meet real money.

    Needs the current app and a migrated database; whoever serves or works calls it first.
    """
    settings = get(Settings)
    if settings.production:
        refuse_offline_models(get(Catalog))
        if not settings.livemode:
            log.warning("STRIPE_SECRET_KEY is a test key: Stripe's test cards buy real pictures")
    refuse_demo_money(settings)


def refuse_offline_models(catalog: Catalog) -> None:
    """Keep previews from being sold: raise ``SettingsInvalid`` for a model drawn offline."""
    for model in catalog.models:
        if model.provider == "offline":
            raise SettingsInvalid(
                f"CREDITAPP_CATALOG: model {model.id} is made by the offline provider, which "
                "production does not sell: set its provider and key, or remove it."
            )


def refuse_demo_money(settings: Settings) -> None:
    """Keep credits that cost nobody anything from buying real pictures.

    Raises ``SettingsInvalid`` on a database with credits of the payment sandbox in production, or
    with any test credits where the key moves real money.
    """
    found = False
    with snapshot() as session:
        if settings.production:
            # A plan's purchase has no grant of its own: its invoices gave them.
            query = text(
                "SELECT 1 FROM purchases WHERE sandbox"
                " AND (grant_id IS NOT NULL OR subscription_id IS NOT NULL) LIMIT 1"
            )
            found = session.execute(query).first() is not None
        if settings.livemode and not found:
            query = text("SELECT 1 FROM grants WHERE livemode = false LIMIT 1")
            found = session.execute(query).first() is not None
    if found:
        raise SettingsInvalid(
            "DATABASE_URL names a database that holds sandbox credits: set it to an empty one."
        )


_WAIT_UNTIL_READY = """
import sys, time, urllib.request
url = sys.argv[1]
for _ in range(600):
    try:
        urllib.request.urlopen(url + "/healthz", timeout=2).close()
    except OSError:
        time.sleep(0.05)
    else:
        print("ready at " + url, flush=True)
        break
"""


def say_when_ready(settings: Settings) -> None:
    """Print the address once the server answers there.

    From a process of its own: the server forks, and a child that is forked while a thread of its
    parent imports something waits for that import for ever.
    """
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    url = f"http://{host}:{settings.port}"
    subprocess.Popen([sys.executable, "-c", _WAIT_UNTIL_READY, url])  # noqa: S603  # our own text
