"""States of a component, rendered to be shown several on one page.

The ids of each state get its name, so that none is there twice; forms send nothing; and no token of
a visitor is in them, so that everybody gets the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import current_app
from markupsafe import Markup

from creditapp.http import mistakes
from creditapp.http.rendering import Components
from creditapp.http.shared_pages import without_visitor
from creditapp.web.designers.examples import Example, Subject, find_mistake
from creditapp.web.designers.index import root

_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCES = re.compile(
    r'\b(id|for|form|list|headers|aria-labelledby|aria-describedby|aria-controls|commandfor)="([^"]+)"'
)
_SELECTORS = re.compile(r'\b(hx-target|hx-include)="#([^"]+)"')
_LINKS = re.compile(r'\bhref="#([^"]+)"')
_RADIO = re.compile(r'<input type="radio" name="')
_POLL = re.compile(r'hx-trigger="every [^"]*"')


@dataclass(frozen=True)
class Preview:
    """One state: the HTML of its component, and the same with ids that are its own."""

    example: Example
    html: str
    isolated: Markup
    mistake: bool = False


def previews(component: Subject) -> tuple[Preview, ...]:
    """Return the states of a component, the same for every visitor."""
    return tuple(preview(component, example) for example in component.examples)


def preview(component: Subject, example: Example) -> Preview:
    """Return one state of a component."""
    try:
        with without_visitor():
            # Unguarded: what is wrong here is in the file of the examples.
            html = str(getattr(Components(current_app.jinja_env), component.name)(**example.args))
    except Exception as error:
        if not mistakes.shown():
            raise
        file = root() / "templates/examples" / f"{component.name}.json"
        box = mistakes.draw(find_mistake(file, example, error))
        return Preview(example, "", box, mistake=True)
    return Preview(example, _tidy(html), _isolated(html, example.name))


def _tidy(html: str) -> str:
    """Return the HTML without blank lines and without the indentation of the macro around it."""
    lines = [line.rstrip() for line in html.strip().splitlines() if line.strip()]
    margin = len(lines[-1]) - len(lines[-1].lstrip()) if lines else 0
    return "\n".join(line[:margin].lstrip() + line[margin:] for line in lines)


def _isolated(html: str, prefix: str) -> Markup:
    ids = set(_ID.findall(html))

    def own(names: str) -> str:
        return " ".join(f"{prefix}-{name}" if name in ids else name for name in names.split())

    html = _REFERENCES.sub(lambda found: f'{found[1]}="{own(found[2])}"', html)
    html = _SELECTORS.sub(lambda found: f'{found[1]}="#{own(found[2])}"', html)
    # A link to a field of another page leads to the beginning of this one.
    html = _LINKS.sub(lambda found: f'href="#{own(found[1]) if found[1] in ids else "main"}"', html)
    html = _RADIO.sub(f'<input type="radio" name="{prefix}-', html)
    html = _POLL.sub('hx-trigger="none"', html)
    # Such a form only closes the dialog that it is in, without any script.
    html = html.replace(' method="post"', ' method="dialog"').replace(" hx-post=", " data-post=")
    return Markup(html)  # noqa: S704  # what our own templates rendered
