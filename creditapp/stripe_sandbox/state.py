"""What one sandbox was made with, and its way to the store."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from flask import Flask

from creditapp.stripe_sandbox.store import Books, Store

_NAME = "payment_sandbox"


@dataclass
class State:
    """Shared by the API, the pages and the deliveries of one sandbox."""

    store: Store
    public_url: str
    webhook_url: str | None
    webhook_secret: str = field(repr=False)
    secret_key: str | None = field(repr=False)
    app_name: str
    post_arrived: threading.Event = field(default_factory=threading.Event)
    """Set when there may be something to deliver, so that nobody waits for the next look."""
    clock_moves: int = 0
    """How often the clock was moved on in this process."""
    _form_token: str = field(default="", repr=False)

    @classmethod
    def of(cls, app: Flask) -> State:
        """Return an app's state."""
        return cast(State, app.extensions[_NAME])

    def attach(self, app: Flask) -> None:
        """Make this the app's state."""
        app.extensions[_NAME] = self

    @contextmanager
    def transaction(self) -> Iterator[Books]:
        """Yield the books; once they are committed, wake the deliveries if there is post."""
        with self.store.transaction() as books:
            books.public_url = self.public_url
            yield books
        # Before the post goes out: whoever hears of a renewal then knows that a month has passed.
        self.clock_moves += books.moved_clock
        if books.wrote_delivery:
            self.post_arrived.set()

    def form_token(self) -> str:
        """Return the token that proves a form is ours; it outlives a restart."""
        if self._form_token:
            return self._form_token
        with self.store.transaction() as books:
            token = books.setting("form_token", "")
            if not token:
                token = secrets.token_urlsafe(24)
                books.set_setting("form_token", token)
        self._form_token = token
        return token
