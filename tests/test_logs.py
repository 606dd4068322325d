"""Logs: a failure is found by its place, and no text of an error is written."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
import structlog

from creditapp.logs import configure_logging, error_fields

SECRET = "a prompt that nobody else may read"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Logs as JSON on stderr, as in production."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    configure_logging("info", human=False)
    return stderr


def fail() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise ValueError(SECRET) from error


def test_an_error_is_logged_with_every_frame_and_without_its_text(written: io.StringIO) -> None:
    try:
        fail()
    except ValueError as error:
        structlog.get_logger("creditapp").error("request failed", **error_fields(error))
    text = written.getvalue()
    line = json.loads(text)
    assert line["error_type"] == "ValueError"
    places = [place.rpartition(" ")[2] for place in line["at"]]
    assert places == [
        "test_an_error_is_logged_with_every_frame_and_without_its_text", "fail", "KeyError", "fail",
    ]  # fmt: skip
    assert all("test_logs.py:" in place for place in line["at"] if "caused by" not in place)
    assert SECRET not in text


def test_the_traceback_of_another_library_is_shortened_too(written: io.StringIO) -> None:
    try:
        fail()
    except ValueError:
        logging.getLogger("library").exception("it failed")
    text = written.getvalue()
    assert json.loads(text)["error_type"] == "ValueError"
    assert SECRET not in text
