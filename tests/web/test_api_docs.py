"""``/api/docs`` as people read it."""

from __future__ import annotations

from flask.testing import FlaskClient


def test_the_page_works_without_scripts_and_documents_every_call(client: FlaskClient) -> None:
    page = client.get("/api/docs").text
    for words in ("POST /api/generate-image", "Idempotency-Key", "Prefer", "prompt", "shortfall"):
        assert words in page
    assert "None" not in page
