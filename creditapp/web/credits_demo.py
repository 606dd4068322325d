"""The designers' page: every component in every state, with the call that makes it."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Flask, current_app

from creditapp.clock import now
from creditapp.errors import NotFound
from creditapp.web.examples import Component, load_examples
from creditapp.web.rendering import render_page
from creditapp.web.security import policy

site = Blueprint("site", __name__)


def register(app: Flask) -> None:
    """Put the designers' page onto the app."""
    app.register_blueprint(site)


@site.get("/credits-demo")
@policy("public")
def components() -> str:
    """Show all components."""
    return render_page("pages/credits_demo/index.html", components=_components())


@site.get("/credits-demo/<component>/<state>")
@policy("public")
def state(component: str, state: str) -> str:
    """Show one state of one component, alone."""
    found = next((each for each in _components() if each.name == component), None)
    example = next((each for each in found.examples if each.name == state), None) if found else None
    if found is None or example is None:
        raise NotFound("There is no such component or state.")
    return render_page("pages/credits_demo/state.html", component=found, example=example)


def _components() -> tuple[Component, ...]:
    folder = Path(current_app.root_path).parent / "templates" / "examples"
    return load_examples(folder, now())
