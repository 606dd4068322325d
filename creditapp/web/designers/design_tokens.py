"""Design tokens, read from ``static/css/tokens.css``: groups by comment, names and values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ROOT = re.compile(r":root \{(.*?)\n  \}", re.DOTALL)
_LINE = re.compile(r"/\*\s*(?P<about>.*?)\s*\*/|--(?P<name>[\w-]+):\s*(?P<value>[^;]+);", re.DOTALL)
_TITLE_END = re.compile(r"[.:,]\s*")
_COLOR = re.compile(r"#|rgb|light-dark|color-mix|var\(--accent")


@dataclass(frozen=True)
class Token:
    """One custom property; ``kind`` chooses how it is shown."""

    name: str
    value: str

    @property
    def kind(self) -> str:
        """The kind of value: color, text, space, radius or other."""
        for kind in ("text", "space", "radius", "shadow"):
            if self.name.startswith(f"{kind}-") or self.name == kind:
                return kind
        return "color" if _COLOR.search(self.value) else "other"


@dataclass(frozen=True)
class TokenGroup:
    """Tokens under one comment of the file, which begins with their title."""

    title: str
    about: str
    tokens: tuple[Token, ...]


def read(file: Path) -> tuple[TokenGroup, ...]:
    """Return the groups of tokens, in the order of the file."""
    groups: list[tuple[str, list[Token]]] = []
    root = _ROOT.search(file.read_text(encoding="utf-8"))
    for found in _LINE.finditer(root[1] if root else ""):
        if found["name"] is None:
            groups.append((found["about"], []))
        else:
            groups = groups or [("", [])]
            groups[-1][1].append(Token(found["name"], " ".join(found["value"].split())))
    return tuple(_group(comment, tokens) for comment, tokens in groups if tokens)


def _group(comment: str, tokens: list[Token]) -> TokenGroup:
    title, *rest = _TITLE_END.split(" ".join(comment.split()), maxsplit=1)
    about = "".join(rest)
    return TokenGroup(title, about[:1].upper() + about[1:], tuple(tokens))
