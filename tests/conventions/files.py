"""The repository's own files, as the tests beside this module read them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BINARY = (".png", ".jpg", ".webp", ".ico", ".woff2", ".mp3", ".mp4")


@cache
def committed() -> tuple[str, ...]:
    """Return the paths that git tracks and that exist; outside a checkout, what lies here."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        hidden = {".venv", ".git", ".data", "__pycache__"}
        listed = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if path.is_file() and not hidden & set(path.parts)
        ]
    return tuple(name for name in sorted(listed) if name and (ROOT / name).is_file())


def texts(*endings: str) -> dict[str, str]:
    """Return the committed text files whose names end so, by path."""
    names = (name for name in committed() if not name.endswith(_BINARY))
    return {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in names
        if not endings or name.endswith(endings)
    }
