"""A designer's mistakes: the file, line and message of a template that does not render.

Under ``CREDITAPP_DEBUG=1`` a component that fails is drawn as a box in its place, and the rest of
the page stays. In production nothing of this is shown.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from flask import current_app
from jinja2 import TemplateNotFound, TemplateSyntaxError, Undefined
from markupsafe import Markup

from creditapp.config import Settings
from creditapp.services import get

log = structlog.get_logger(__name__)

COMPONENT = "mistake"
"""The component that draws a mistake; a mistake in this one fails the page."""


@dataclass(frozen=True)
class Mistake:
    """File, from the root of the project, and line of a mistake, with what is wrong."""

    file: str
    line: int | None
    message: str


def shown() -> bool:
    """Whether mistakes are drawn on the page: while designing, never in production."""
    settings = get(Settings)
    return settings.debug and not settings.production


def guarded(name: str, load: Callable[[], Callable[..., Markup]]) -> Callable[..., Markup]:
    """Return a component that is drawn as a box when it, or its call, has a mistake."""

    def render(*args: Any, **kwargs: Any) -> Markup:
        try:
            return load()(*args, **kwargs)
        except Exception as error:
            mistake = _of_call(error, [*args, *kwargs.values()], sys._getframe(1))
            if mistake is None or name == COMPONENT:
                raise
            return draw(mistake)

    return render


def draw(mistake: Mistake) -> Markup:
    """Return the box of a mistake, which is logged too."""
    log.warning("template mistake", file=mistake.file, line=mistake.line)
    module: Any = current_app.jinja_env.get_template(f"components/{COMPONENT}.html").module
    box: Markup = module.mistake(mistake)
    return box


def find(error: BaseException) -> Mistake | None:
    """Return the mistake in a template that an error comes from, or None."""
    if isinstance(error, TemplateSyntaxError):
        return Mistake(f"templates/{error.name}", error.lineno, message_of(error))
    innermost_first = reversed(list(traceback.walk_tb(error.__traceback__)))
    return _first(innermost_first, message_of(error))


def _of_call(error: Exception, arguments: list[Any], caller: FrameType) -> Mistake | None:
    """Return the mistake in a component, or in the line that calls it, above this function."""
    calls = traceback.walk_stack(caller)
    for argument in arguments:
        if isinstance(argument, Undefined):
            return _first(calls, argument._undefined_message)
    return find(error) or _first(calls, message_of(error))


def _first(frames: Iterable[tuple[FrameType, int]], message: str) -> Mistake | None:
    places = (_place(frame, line) for frame, line in frames)
    return next((Mistake(*place, message) for place in places if place), None)


def message_of(error: BaseException) -> str:
    """Return what is wrong, in a sentence."""
    if isinstance(error, TemplateNotFound):
        return f"There is no file templates/{error.name}."
    if isinstance(error, TemplateSyntaxError):
        return error.message or "The template cannot be read."
    if isinstance(error, TypeError | AttributeError) or type(error).__module__.startswith("jinja2"):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _place(frame: FrameType, line: int) -> tuple[str, int] | None:
    """Return the template and line that a frame runs, or None for a frame of Python."""
    template = frame.f_globals.get("__jinja_template__")
    if template is not None and template.filename:
        return f"templates/{template.name}", template.get_corresponding_lineno(line)
    if "__jinja_exception__" in frame.f_globals:
        # A frame that Jinja has translated already; it keeps only the path of the file.
        path = Path(frame.f_code.co_filename)
        folder = Path(current_app.root_path).parent / (current_app.template_folder or "")
        return f"templates/{path.relative_to(folder)}", line
    return None
