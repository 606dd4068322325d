"""The page of one generation."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from creditapp.db import snapshot
from creditapp.generation import feedback
from creditapp.generation.models import Generation
from tests.app_factory import Person
from tests.web.test_gallery import hang

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def test_a_report_reaches_the_operator_in_its_owners_words(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    hang(app, alice, 1)
    with app.app_context(), snapshot() as session:
        made = session.scalars(select(Generation.id)).one()
    assert "Report a problem" in alice.browser.get(f"/generations/{made}").text
    for bad in ("", "   ", "x" * 501, "a\0b", "\x1b[31mred"):
        assert alice.post(f"/generations/{made}/report", {"report": bad}).status_code == 422
    sent = alice.post(f"/generations/{made}/report", {"report": "  It has\r\nsix\tfingers "})
    assert sent.status_code == 303
    stranger = Person(app).sign_up("stranger@example.com")
    assert stranger.post(f"/generations/{made}/report", {"report": "mine"}).status_code == 404
    with app.app_context(), snapshot() as session:
        (found,) = feedback.reported(session)
    assert (found.id, found.report_text) == (made, "It has six fingers")
