"""Icons that the templates use, found where they are named."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from zipfile import ZipFile

from creditapp.web.designers.index import root

_NAMED = re.compile(
    r'\bicon\(\s*"([a-z0-9-]+)"|icon_name="([a-z0-9-]+)"|"([a-z0-9]+(?:-[a-z0-9]+)+)"'
)
"""A name in a call, or any text in quotes that has a dash, as in ``set sign = "circle-alert"``."""


def icons() -> list[str]:
    """Return the name of every icon of the templates, sorted."""
    found: set[str] = set()
    for file in (root() / "templates").rglob("*.html"):
        for names in _NAMED.findall(file.read_text(encoding="utf-8")):
            found.update(names)
    return sorted(found & _known())


@cache
def _known() -> frozenset[str]:
    """Return every icon of the installed package."""
    with (resources.files("lucide") / "lucide.zip").open("rb") as file, ZipFile(file) as archive:
        return frozenset(name.removesuffix(".svg") for name in archive.namelist())
