"""State of one sandbox app: its configuration and database."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from flask import Flask

from creditapp.stripe_sandbox.store import Database, Store

_NAME = "payment_sandbox"


@dataclass
class State:
    """State that the API, the pages and the deliveries share."""

    database: Database
    public_url: str
    webhook_url: str | None
    webhook_secret: str = field(repr=False)
    secret_key: str | None = field(repr=False)
    app_name: str
    delivery_queued: threading.Event = field(default_factory=threading.Event)
    """Set when a delivery may be queued, so that the thread does not wait for its next poll."""
    clock_moves: int = 0
    """Number of clock advances in this process."""
    _form_token: str = field(default="", repr=False)

    @classmethod
    def of(cls, app: Flask) -> State:
        """Return an app's state."""
        return cast(State, app.extensions[_NAME])

    def attach(self, app: Flask) -> None:
        """Attach this state to an app."""
        app.extensions[_NAME] = self

    @contextmanager
    def transaction(self) -> Iterator[Store]:
        """Yield the store; after the commit, wake the delivery thread if a delivery was queued."""
        with self.database.transaction() as store:
            store.public_url = self.public_url
            yield store
        # Before the delivery is sent, so that a receiver of a renewal already sees the new time.
        self.clock_moves += store.clock_moved
        if store.has_queued_delivery:
            self.delivery_queued.set()

    def form_token(self) -> str:
        """Return the CSRF token of the forms; it survives a restart."""
        if self._form_token:
            return self._form_token
        with self.database.transaction() as store:
            token = store.setting("form_token", "")
            if not token:
                token = secrets.token_urlsafe(24)
                store.set_setting("form_token", token)
        self._form_token = token
        return token
