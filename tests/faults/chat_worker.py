"""A process that answers one question and dies at one step of the turn, by SIGKILL."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from typing import Any

from creditapp import chat, create_app, ledger
from creditapp.chat import ChatMessage, ChatOrder, reader, turns
from creditapp.config import load_settings
from creditapp.db import snapshot
from creditapp.http.sessions import find_member

BEFORE_HOLD_COMMIT = "1 held, before the commit"
BEFORE_CALL = "2 after the commit, before the call"
DURING_CALL = "3 during the call"
IN_THE_MIDDLE = "4 half of the answer stored"
BEFORE_SETTLE = "5 all received, before settling"
BEFORE_COMMIT = "6 settled, before the commit"
AFTER_SETTLE = "7 after the commit"


def run_turn(environ: dict[str, str], session_id: str, step: str) -> None:
    """Ask ``step`` as the member of a session, and die there or wait to be killed."""
    _arm(step)
    app = create_app(load_settings(environ))
    with app.app_context():
        with snapshot() as session:
            member = find_member(session, session_id)
        assert member is not None
        order = ChatOrder(source="chat", messages=[ChatMessage("user", step)])
        turn = chat.start(order, member, key=step, now=datetime.now(UTC))
        turn.wait()
    die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal is on its way; nothing more may happen here


def _arm(step: str) -> None:
    settle, capture, insert_new = reader.settle, ledger.capture, turns.insert_new

    def inserting(*given: Any) -> None:
        insert_new(*given)
        if step == BEFORE_HOLD_COMMIT:
            given[0].flush()
            die()

    def settling(*given: Any, **named: Any) -> Any:
        if step == BEFORE_SETTLE:
            die()
        result = settle(*given, **named)
        if step == AFTER_SETTLE:
            die()
        return result

    def capturing(*given: Any, **named: Any) -> Any:
        charge = capture(*given, **named)
        if step == BEFORE_COMMIT:
            die()
        return charge

    if step == BEFORE_CALL:
        reader.read = lambda *_, **__: die()  # type: ignore[assignment]
    turns.insert_new, reader.settle = inserting, settling
    ledger.capture = capturing  # type: ignore[attr-defined]
