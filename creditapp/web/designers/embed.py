"""Code to copy into a page of one's own: the four widgets and the three calls of the API.

Each is a file of ``templates/samples``; a test runs what the page shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from creditapp.web.designers.index import find_component, root
from creditapp.web.designers.previews import preview

_TOGETHER = """\
document.querySelector("#make").addEventListener("click", () =>
  generate(
    { prompt: "A lighthouse at first light", model: "flux-dev" },
    { ...refusals, made: (answer) => (document.querySelector("#image").src = answer.imageUrl) },
  ),
);
"""


@dataclass(frozen=True)
class Sample:
    """A file to copy."""

    name: str
    text: str


@dataclass(frozen=True)
class Widget:
    """A component with one of its states and the code that embeds it."""

    component: str
    title: str
    about: str
    preview: Markup
    sample: Sample


_WIDGETS = (
    ("balance", "compact", "Balance", "A member's credits, or a guest's free images.", "balance"),
    (
        "add_credits",
        "main",
        "Packs",
        "Opens the packs over the page; without JavaScript it leads to them and back.",
        "packs",
    ),
    (
        "cost_indicator",
        "full-sufficient",
        "Cost",
        "What a generation costs, before the click.",
        "cost",
    ),
    ("model_picker", "recommended", "Models", "The models with the price of each.", "models"),
)


def context() -> dict[str, Any]:
    """Return the context of the page."""
    return {"widgets": _widgets(), "samples": samples(), "together": _TOGETHER}


def samples() -> dict[str, Sample]:
    """Return the samples: ``packs`` is ``packs.html``, ``balance_js`` is ``balance.js``."""
    files = sorted((root() / "templates/samples").iterdir())
    return {
        file.stem + ("_js" if file.suffix == ".js" else ""): Sample(
            file.name, file.read_text(encoding="utf-8").strip()
        )
        for file in files
        if file.is_file()
    }


def _widgets() -> list[Widget]:
    texts = samples()
    return [
        Widget(name, title, about, _preview(name, state), texts[sample])
        for name, state, title, about, sample in _WIDGETS
    ]


def _preview(name: str, state: str) -> Markup:
    component = find_component(name)
    example = next(each for each in component.examples if each.name == state)
    return preview(component, example).isolated
