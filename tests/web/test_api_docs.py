"""``/api/docs`` as people read it."""

from __future__ import annotations

import re

from flask import Flask
from flask.testing import FlaskClient

from tests.api.contract import Document
from tests.pages import parse_html

TRANSFERRED_MAX = 100 * 1024


def test_the_page_works_without_scripts_and_documents_every_call(
    app: Flask, client: FlaskClient
) -> None:
    text = client.get("/api/docs").text
    for words in ("POST /api/generate-image", "Idempotency-Key", "Prefer", "prompt", "shortfall"):
        assert words in text
    assert not re.search(r"(?<![-\w])None(?![-\w])", text)
    page = parse_html(text)
    paths = Document(app).json["paths"]
    called = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    shown = [call.one("summary code").text for call in page.all(".api-call")]
    assert sorted(shown) == sorted(called)
    for link in page.all(".api-call a"):
        assert page.has(link["href"]), "a response is explained once, where its link leads"
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_a_reader_begins_with_a_key_a_quote_an_image_and_a_webhook(client: FlaskClient) -> None:
    page = parse_html(client.get("/api/docs").text)
    headings = [each.text for each in page.all("h2")]
    assert headings[0] == "Getting started"
    steps = [each.text for each in page.all("section[aria-labelledby=start] h3")]
    assert [step.split()[0] for step in steps] == ["1.", "2.", "3.", "4."]
    for step in ("quote", "image"):
        for language in ("curl", "python", "javascript"):
            assert "CREDITAPP_API_KEY" in page.one(f"#start-{step}-{language}").text
    assert "http" in page.one("#start-key").text


def test_every_call_that_a_key_makes_has_samples_in_three_languages(client: FlaskClient) -> None:
    page = parse_html(client.get("/api/docs").text)
    for call in page.all(".api-call"):
        languages = [each["class"].split("-")[-1] for each in call.all(".sample")]
        is_form = "/v1/images/edits" in call.one("summary").text
        if "or an API key" in call.text and not is_form:
            assert languages == ["curl", "python", "javascript"], call.one("summary").text


def test_all_of_it_is_small(client: FlaskClient) -> None:
    """Sum up everything that a first visitor's browser loads, compressed as it asks for."""
    headers = {"Accept-Encoding": "br, gzip"}
    text = client.get("/api/docs").text
    parts = {"/api/docs", *re.findall(r'(?:src|href)="(/static/[^"]+)"', text)}
    assert len(parts) > 5
    sizes = {part: len(client.get(part, headers=headers).data) for part in parts}
    assert sum(sizes.values()) <= TRANSFERRED_MAX, sizes
    print(sizes)
