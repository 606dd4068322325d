"""A bucket on loopback, and the store in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from creditapp.config import load_settings
from creditapp.media import Media, open_media
from tests.fakes.s3_server import FakeS3


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """An empty bucket."""
    with FakeS3(prefix="production/files") as bucket:
        yield bucket


@pytest.fixture
def media(s3: FakeS3, tmp_path: Path) -> Media:
    """The store in it."""
    return open_media(load_settings({**s3.environ, "CREDITAPP_DATA": str(tmp_path)}))
