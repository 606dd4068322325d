"""Reading of a prompt: its words, and the text it wants lettered on a sign."""

from __future__ import annotations

import re

# Longer prompts are read as far as this; a preview needs no more.
_LENGTH_MAX = 4000


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` in order, in lower case and in the singular."""
    return tuple(_singular(word) for word in re.findall(r"[a-z]+", text.lower()[:_LENGTH_MAX]))


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def lettering(prompt: str) -> str:
    """Return the words in quotation marks, in capitals after "says", or after "says"; else ""."""
    prompt = prompt[:_LENGTH_MAX]
    quoted = re.search(r"[\"“«]([^\"”»]{1,40})[\"”»]", prompt)
    if quoted:
        return quoted[1].strip()
    if not {"sign", "say", "read", "text", "logo", "lettering", "poster"} & set(words_of(prompt)):
        return ""
    capitals = re.search(r"\b[A-Z0-9]{2,}(?:[ &!'][A-Z0-9]+)*\b", prompt)
    if capitals:
        return capitals[0]
    said = re.search(r"\b(?:says?|reads?|saying|text|called)\s+([\w' ]{1,24})", prompt)
    return said[1].strip() if said else ""
