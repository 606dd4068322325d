"""The attacked sites, started once; both are whole after every attack."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.attack.sites import Site, running_demo, running_production

WHOLE = "1" in (os.environ.get("CREDITAPP_ATTACK"), os.environ.get("CREDITAPP_SOAK"))
"""Whether every attack runs, on the demo too."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run an attack that names no site on both."""
    if "site" in metafunc.fixturenames:
        sites = ["demo", "production"] if WHOLE else ["production"]
        metafunc.parametrize("site", sites, indirect=True, scope="session")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running demo."""
    with running_demo(tmp_path_factory.mktemp("demo")) as site:
        yield site
        _assert_whole(site)


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running production set-up."""
    with running_production(tmp_path_factory.mktemp("production")) as site:
        yield site
        _assert_whole(site)


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Site:
    """The demo, then the production set-up."""
    site: Site = request.getfixturevalue(request.param)
    return site


def _assert_whole(site: Site) -> None:
    for command in ("proof", "reconcile"):
        ended = site.command(command)
        assert ended.returncode == 0, ended.stdout + ended.stderr
