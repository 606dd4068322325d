"""Commands that start a process: the server, a worker, the payment sandbox; and migrations."""

from __future__ import annotations

import os
import resource
import signal
import threading

import click

from creditapp.cli.context import app_context
from creditapp.config import Settings, load_settings, share_metrics
from creditapp.private_files import open_folder_warning
from creditapp.rate_limits import CONNECTIONS_MAX, HEADERS_BYTES_MAX, HEADERS_SECONDS
from creditapp.runtime import port, server
from creditapp.services import get


@click.command()
def serve() -> None:
    """Migrate, import the catalog, and serve pages and jobs."""
    settings = load_settings()
    with port.claimed(settings.host, settings.port, "PORT={port} ./run"):
        if settings.web_processes > 1:
            share_metrics(settings)
        with app_context():
            # Checked before the server starts, because it restarts a worker process that exits.
            server.refuse_demo_leftovers()
        _serve(settings)


def _serve(settings: Settings) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server import Server

    granian = Server(
        "creditapp.runtime.server:build",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,  # without lifespan events, which nothing here needs
        websockets=False,
        # A connection that could turn out to be HTTP/2 may stay silent for ever.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADERS_SECONDS * 1000, max_buffer_size=HEADERS_BYTES_MAX
        ),
        backpressure=CONNECTIONS_MAX,
        workers=settings.web_processes,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
    )
    _allow_open_files(2 * CONNECTIONS_MAX)
    server.print_when_ready(settings)
    granian.serve()


def _allow_open_files(number: int) -> None:
    """Let this process open that many files, or as many as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@click.command()
def worker() -> None:
    """Run the jobs in a process of their own."""
    from creditapp import jobs

    stop = _stop_on_signal()
    with app_context() as app:
        server.refuse_demo_leftovers()
        server.warn_of_open_folder()
        server.follow_catalog(app)
        click.echo("working")
        if not jobs.run(stop, get(Settings).drain_seconds):
            # Python would wait for the threads of the jobs that still run.
            os._exit(0)


@click.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    with app_context():
        click.echo("The database is up to date.")


@click.command()
@click.option(
    "--port", "port_number", type=click.IntRange(1, 65535), default=8421, show_default="8421"
)
def sandbox(port_number: int) -> None:
    """Run the payment sandbox alone; point STRIPE_API_BASE at it."""
    from creditapp.stripe_sandbox import create_sandbox, serve, start_deliveries

    settings, url = load_settings(), f"http://127.0.0.1:{port_number}"
    if warning := open_folder_warning(settings):
        click.echo(warning, err=True)
    with port.claimed("127.0.0.1", port_number, "./run sandbox --port {port}"):
        app = create_sandbox(
            settings.data_dir / "sandbox.sqlite",
            public_url=url,
            webhook_url=f"http://127.0.0.1:{settings.port}/api/webhooks/stripe",
            webhook_secret=settings.webhook_secret,
            app_name=settings.site_name,
        )
        deliveries, http_server = start_deliveries(app), serve(app, "127.0.0.1", port_number)
        click.echo(f"sandbox at {url}")
        click.echo(
            f"For the app: STRIPE_API_BASE={url} STRIPE_SECRET_KEY=sk_test_sandbox "
            f"STRIPE_WEBHOOK_SECRET={settings.webhook_secret}"
        )
        _stop_on_signal().wait()
        deliveries.stop()
        http_server.stop()


def _stop_on_signal() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set; a second signal ends the process at once."""
    stop, numbers = threading.Event(), (signal.SIGINT, signal.SIGTERM)

    def begin_to_stop(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in numbers:
        signal.signal(number, begin_to_stop)
    return stop


COMMANDS = (serve, worker, migrate, sandbox)
