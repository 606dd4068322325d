"""The app whose requests all work at once, to measure what the gate gains."""

from __future__ import annotations

from creditapp.http import asgi
from creditapp.http.asgi import AsgiApp
from creditapp.runtime import server


def build() -> AsgiApp:
    """Return the app with a gate that is never full."""
    asgi.working_requests = lambda threads: 100 * threads
    return server.build()
