"""Slots of turns: how many answers one process reads at once, and one member at most."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from creditapp.errors import RateLimited
from creditapp.rate_limits import chat_turns

BUSY_SECONDS: Final = 5


class ChatSlots:
    """The turns that one process reads at once; one member may have half of them."""

    def __init__(self, threads: int) -> None:
        self.total = chat_turns(threads)
        self.per_member = self.total // 2
        self._taken = Counter[str]()
        self._lock = threading.Lock()

    def take(self, member_id: str) -> None:
        """Take a slot for a turn of a member; raise ``RateLimited`` where none is free."""
        with self._lock:
            if self._taken.total() >= self.total:
                detail = "Many conversations are being answered. Try again in some seconds."
                raise RateLimited.after(BUSY_SECONDS, detail)
            if self._taken[member_id] >= self.per_member:
                detail = "Wait until one of your other answers is complete."
                raise RateLimited.after(BUSY_SECONDS, detail)
            self._taken[member_id] += 1

    def free(self, member_id: str) -> None:
        """Return a slot that was taken for a member."""
        with self._lock:
            self._taken[member_id] -= 1
            if not self._taken[member_id]:
                del self._taken[member_id]
