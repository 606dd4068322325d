"""An app whose members may send webhooks to this machine, and a receiver here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.app_factory import SharedApps
from tests.webhooks_out.hooks import Hooks
from tests.webhooks_out.receiver import Receiver
from tests.webhooks_out.workers import Workers


@pytest.fixture
def app(database_kind: str, shared_apps: SharedApps) -> Flask:
    """The app of this folder's tests."""
    return shared_apps.fresh(database_kind, {"CREDITAPP_WEBHOOKS_TO_LOOPBACK": "1"})


@pytest.fixture
def hooks(app: Flask) -> Hooks:
    """Endpoints, and the jobs that deliver to them."""
    return Hooks(app)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of one endpoint; what it received was signed."""
    made = Receiver()
    yield made
    made.close()
    assert made.forged == 0


@pytest.fixture
def workers(database_url: str, tmp_path: Path) -> Iterator[Workers]:
    """Worker processes on a database of their own."""
    made = Workers(database_url, tmp_path)
    yield made
    made.close()
