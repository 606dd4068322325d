"""What the running app was assembled with, found by type.

``create_app`` provides one instance of each door to the world (settings, clock, mailer, payment
gateway, …); the rules below ask for it by type and never build one themselves. Only this module
and the doors know that the app is a Flask app.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from flask import Flask, current_app

T = TypeVar("T")


def provide(app: Flask, kind: type[T], instance: T) -> None:
    """Make ``instance`` the one that ``the(kind)`` answers within this app."""
    app.extensions[_key(kind)] = instance


def get(kind: type[T]) -> T:
    """Return the current app's instance of ``kind``; needs an app context."""
    return cast(T, current_app.extensions[_key(kind)])


def in_this_app(function: Callable[[], None]) -> Callable[[], None]:
    """Return ``function`` so that another thread can call it as part of the current app."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy's target

    def run() -> None:
        with app.app_context():
            function()

    return run


def _key(kind: type[object]) -> str:
    return f"creditapp:{kind.__module__}.{kind.__qualname__}"
