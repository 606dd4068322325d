"""One app for all conventions: they only look at it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from tests.app_factory import Outbox, build_app, close_app


@pytest.fixture(scope="package")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An app on an empty SQLite file, shared by the tests that change nothing."""
    folder = tmp_path_factory.mktemp("conventions")
    app = build_app(
        f"sqlite:///{folder / 'creditapp.sqlite'}",
        folder,
        clock=StoppedClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC)),
        mailer=Outbox(),
    )
    yield app
    close_app(app)
