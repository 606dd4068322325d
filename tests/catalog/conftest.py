"""The three presets, read once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from creditapp.catalog import Catalog, load_catalog
from creditapp.catalog.load import preset_path


@pytest.fixture(scope="session")
def studio() -> Catalog:
    """The default catalog."""
    return load_catalog("studio")


@pytest.fixture(scope="session")
def dollars() -> Catalog:
    """The catalog in which a credit is a dollar."""
    return load_catalog("dollars")


@pytest.fixture(scope="session")
def agents() -> Catalog:
    """The catalog for programs."""
    return load_catalog("agents")


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str], Path]:
    """The studio's file with one place changed, as an operator would change it."""

    def edit(old: str, new: str) -> Path:
        text = preset_path("studio").read_text(encoding="utf-8")
        assert old in text, f"{old!r} no longer stands in studio.toml"
        path = tmp_path / "shop.toml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return edit
