"""Names of features, as charges carry them."""

from __future__ import annotations

import re

from creditapp.errors import ValidationFailed

_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_CHARACTERS_MAX = 80


def parse_feature(name: str) -> str:
    """Return a feature's name, such as ``ai-generation``; raise ``ValidationFailed``."""
    if len(name) > _CHARACTERS_MAX or not _NAME.fullmatch(name):
        text = f"A feature is named like ai-generation, in at most {_CHARACTERS_MAX} characters."
        raise ValidationFailed.of("feature", text)
    return name
