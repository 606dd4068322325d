"""Style sheet that also draws states which only a user's hand brings about: hover, focus, loading.

Every rule for ``:hover`` holds for what is in ``.show-hover`` too, so that the states shown are
drawn by the rules that draw them in use. The weight of a selector stays the same.
"""

from __future__ import annotations

from functools import lru_cache

SHOWN_STATES = ("hover", "focus", "loading")

_RULES = {
    ":hover": ("hover", "*"),
    ":focus-visible": ("focus", ":is(a[href], button, input, select, textarea, summary)"),
    ".htmx-request": ("loading", "*"),
}
"""The selector of each state: its name, and the elements that can be in it."""


@lru_cache(maxsize=2)
def with_shown_states(styles: bytes) -> bytes:
    """Return the styles with the rules of each state doubled."""
    text = styles.decode()
    for selector, (state, elements) in _RULES.items():
        # By the example, or by the radio button of the page for all its states.
        shown = f".show-{state} {elements}, body:has(#show-{state}:checked) .demo-stage {elements}"
        text = text.replace(selector, f":is({selector}, :where({shown}))")
    return text.encode()
