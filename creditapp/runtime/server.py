"""The server process: the app, its jobs, the payment sandbox, and the checks before serving."""

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

from creditapp import create_app, jobs
from creditapp.catalog import Catalog, versions
from creditapp.clock import now
from creditapp.config import Settings, SettingsInvalid
from creditapp.db import snapshot, transaction
from creditapp.http.asgi import AsgiApp
from creditapp.logs import error_fields
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.server import SandboxGateway
from creditapp.private_files import open_folder_warning
from creditapp.runtime import migrate
from creditapp.services import get, provide

FOLLOW_SECONDS: Final = 2.0
"""How often a process looks for a catalog that another process activated."""

log = structlog.get_logger(__name__)


def build() -> AsgiApp:
    """Return the app for the server process, with its jobs and payment sandbox started."""
    app = start()
    with app.app_context():
        return AsgiApp(app, get(Settings))


def start() -> Flask:
    """Return the Flask app of the server process, with its jobs and payment sandbox started."""
    app = create_app()
    with app.app_context():
        prepare(app)
        settings = get(Settings)
        refuse_demo_leftovers()
        warn_of_open_folder()
        if settings.jobs == "embedded":
            jobs.start(app)
            atexit.register(jobs.stop)
        atexit.register(follow_catalog(app))
        gateway = get(StripeGateway)
        if isinstance(gateway, SandboxGateway):
            atexit.register(gateway.start_deliveries().stop)
    return app


def prepare(app: Flask) -> None:
    """Migrate the database and put the active catalog into the app.

    Every process calls it at its start, in the app's context. Idempotent.
    """
    settings = get(Settings)
    migrate.upgrade()
    with transaction() as session:
        imported = versions.import_file(session, settings.catalog, now=now())
    if imported.warning:
        log.warning("catalog not imported", reason=imported.warning)
    provide(app, Catalog, imported.catalog)


def warn_of_open_folder() -> None:
    """Log that other users of the machine can read the data folder, as one of before may be."""
    if warning := open_folder_warning(get(Settings)):
        log.warning(warning)


def follow_catalog(app: Flask) -> Callable[[], None]:
    """Follow the active catalog in a thread; return a function that stops it.

    Every server and worker looks every ``FOLLOW_SECONDS``, so that a price sync by a command or by
    another process reaches it without a restart.
    """
    stopped = Event()

    def follow() -> None:
        while not stopped.wait(FOLLOW_SECONDS):
            try:
                with app.app_context():
                    _use_active_catalog(app)
            except Exception as error:
                # Until the database answers again, the previous catalog stays in use.
                log.warning("active catalog not read", **error_fields(error))

    Thread(target=follow, name="catalog", daemon=True).start()
    return stopped.set


def _use_active_catalog(app: Flask) -> None:
    with snapshot() as session:
        if versions.active_id(session) in (None, get(Catalog).version_id):
            return
        catalog = versions.active(session)
    assert catalog is not None  # versions are never deleted
    provide(app, Catalog, catalog)
    log.info("catalog changed", version=catalog.version)


def refuse_demo_leftovers() -> None:
    """Raise ``SettingsInvalid`` where a demo's credits or previews would meet real money.

    Needs an app context and a migrated database; servers and workers call it before they start.
    """
    settings = get(Settings)
    if settings.production:
        refuse_offline_models(get(Catalog))
        if not settings.livemode:
            log.warning("STRIPE_SECRET_KEY is a test key: Stripe's test cards buy real images")
    refuse_demo_money(settings)


def refuse_offline_models(catalog: Catalog) -> None:
    """Raise ``SettingsInvalid`` for a model of the offline provider: previews are not sold."""
    for model in catalog.models:
        if model.provider == "offline":
            raise SettingsInvalid(
                f"CREDITAPP_CATALOG: model {model.id} uses the offline provider, which "
                "production does not sell: set its provider and key, or remove it."
            )


def refuse_demo_money(settings: Settings) -> None:
    """Raise ``SettingsInvalid`` where credits bought without money could pay for real images.

    That is a database with credits of the payment sandbox in production, or with any test credits
    where the key moves real money.
    """
    has_demo_money = False
    with snapshot() as session:
        if settings.production:
            # A plan's purchase has no grant of its own: its invoices have them.
            query = text(
                "SELECT 1 FROM purchases WHERE sandbox"
                " AND (grant_id IS NOT NULL OR subscription_id IS NOT NULL)"
                " UNION ALL SELECT 1 FROM settlements WHERE sandbox LIMIT 1"
            )
            has_demo_money = session.execute(query).first() is not None
        if settings.livemode and not has_demo_money:
            query = text("SELECT 1 FROM grants WHERE livemode = false LIMIT 1")
            has_demo_money = session.execute(query).first() is not None
    if has_demo_money:
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


def print_when_ready(settings: Settings) -> None:
    """Print the address once the server answers, from a process of its own.

    Not from a thread: the server forks, and a child forked while a thread of its parent imports a
    module waits for that import forever.
    """
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    url = f"http://{host}:{settings.port}"
    subprocess.Popen([sys.executable, "-c", _WAIT_UNTIL_READY, url])  # noqa: S603  # our own text
