"""Service registry of the running app, by type.

``create_app`` provides one instance of each service (settings, clock, mailer, payment gateway);
the packages below get it by type and never build one themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from flask import Flask, current_app

T = TypeVar("T")


@dataclass(frozen=True)
class _Computed:
    compute: Callable[[], object]


def provide(app: Flask, kind: type[T], instance: T) -> None:
    """Register ``instance`` as the app's service of type ``kind``."""
    app.extensions[_key(kind)] = instance


def provide_computed(app: Flask, kind: type[T], compute: Callable[[], T]) -> None:
    """Let ``get(kind)`` return what ``compute`` returns: for what follows from another service."""
    app.extensions[_key(kind)] = _Computed(compute)


def get(kind: type[T]) -> T:
    """Return the current app's service of type ``kind``; needs an app context."""
    instance = current_app.extensions[_key(kind)]
    return cast(T, instance.compute() if isinstance(instance, _Computed) else instance)


def in_this_app(function: Callable[[], None]) -> Callable[[], None]:
    """Wrap ``function`` so that another thread can call it in the current app's context."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy's target

    def run() -> None:
        with app.app_context():
            function()

    return run


def _key(kind: type[object]) -> str:
    return f"creditapp:{kind.__module__}.{kind.__qualname__}"
