"""A designer's mistake is drawn in its place under CREDITAPP_DEBUG=1, and the rest stays."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import FileSystemLoader

from tests.app_factory import Person, SharedApps
from tests.conventions.files import ROOT
from tests.pages import Element

DEBUG = {"CREDITAPP_DEBUG": "1"}


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A copy of the templates, to make mistakes in."""
    return shutil.copytree(ROOT / "templates", tmp_path / "templates")


@pytest.fixture
def app(shared_apps: SharedApps, templates: Path) -> Iterator[Flask]:
    """The app under CREDITAPP_DEBUG=1, on the copied templates."""
    yield from _on(templates, shared_apps.fresh("sqlite", DEBUG))


@pytest.fixture
def designers(app: Flask, templates: Path) -> Iterator[Flask]:
    """The same, with the whole project in the folder of the templates."""
    root = templates.parent
    shutil.copytree(ROOT / "static", root / "static")
    (root / "creditapp").mkdir()
    before, app.root_path = app.root_path, str(root / "creditapp")
    yield app
    app.root_path = before


@pytest.fixture
def usual(shared_apps: SharedApps, templates: Path) -> Iterator[Flask]:
    """The app as it is served, on the copied templates."""
    yield from _on(templates, shared_apps.fresh("sqlite", {"CREDITAPP_LOG_LEVEL": "error"}))


def _on(templates: Path, app: Flask) -> Iterator[Flask]:
    environment = app.jinja_env
    before = environment.loader, app.template_folder
    environment.loader, app.template_folder = FileSystemLoader(templates), str(templates)
    environment.cache.clear()
    yield app
    environment.loader, app.template_folder = before
    environment.cache.clear()


def change(file: Path, old: str, new: str) -> None:
    """Replace a text that a file has."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def line_of(file: Path, text: str) -> int:
    """Return the number of the only line with a text."""
    (number,) = [n for n, line in enumerate(file.read_text().splitlines(), 1) if text in line]
    return number


def boxes(page: Element) -> list[str]:
    """Return the mistakes drawn on a page."""
    return page.texts(".mistake")


def test_a_missing_sign_in_a_component_is_drawn_where_the_component_was(
    app: Flask, templates: Path
) -> None:
    file = templates / "components/balance.html"
    change(file, '{%- if size == "full" -%}', '{- if size == "full" -%}')
    page = Person(app).page("/")

    (box,) = page.one("header").texts(".mistake")
    number = int(re.findall(r"templates/components/balance.html:(\d+) ", box)[0])
    assert "{%- else -%}" in file.read_text().splitlines()[number - 1]
    assert "unknown tag 'else'" in box
    assert page.one("h1").text == "Make something new"
    assert page.has("#generate")


def test_a_misspelt_parameter_is_drawn_with_the_line_that_calls(
    app: Flask, templates: Path
) -> None:
    file = templates / "components/header.html"
    change(file, "ui.mark()", "ui.mark(colour=1)")
    page = Person(app).page("/")

    (box,) = page.one("header").texts(".mistake")
    assert f"templates/components/header.html:{line_of(file, 'colour=1')}" in box
    assert "takes no keyword argument 'colour'" in box
    assert page.one("header nav").texts("a")[0] == "Studio"


def test_a_misspelt_field_is_drawn_with_the_line_that_reads_it(app: Flask, templates: Path) -> None:
    file = templates / "components/footer.html"
    change(file, "{{ site.name }}", "{{ site.nam }}")
    page = Person(app).page("/credits")

    (box,) = boxes(page)
    assert f"templates/components/footer.html:{line_of(file, 'site.nam ')}" in box
    assert "nam" in box
    assert page.has("form.pack-list")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{% block main %}", "{ block main %}", "unknown tag 'endblock'"),
        ("{% block main %}", "{% block main %}{{ qoute }}", "'qoute' is undefined"),
        ("{% block main %}", "{% block main %}{{ quote|creditz }}", "No filter named 'creditz'"),
    ],
)
def test_a_mistake_in_a_page_itself_is_told_with_file_line_and_message(
    app: Flask, templates: Path, old: str, new: str, message: str
) -> None:
    file = templates / "pages/studio/index.html"
    change(file, old, new)
    person = Person(app)
    answer = person.browser.get("/")
    assert answer.status_code == 500
    assert "templates/pages/studio/index.html:" in answer.text
    assert message in answer.text.replace("&#39;", "'")
    assert person.browser.get("/credits").status_code == 200


def test_an_undefined_argument_is_drawn_with_the_line_that_passes_it(
    app: Flask, templates: Path
) -> None:
    file = templates / "pages/studio/form.html"
    change(file, "ui.cost_indicator(quote", "ui.cost_indicator(qoute")
    page = Person(app).page("/")
    (box,) = page.one("#price-panel").texts(".mistake")
    assert f"templates/pages/studio/form.html:{line_of(file, 'qoute')}" in box
    assert "'qoute' is undefined" in box


def test_a_fragment_tells_a_mistake_too(app: Flask, templates: Path) -> None:
    change(templates / "layouts/fragments.html", "viewer, id=", "viewr, id=")
    fragment = Person(app).browser.get("/credits/balance", headers={"HX-Request": "true"})
    assert "templates/layouts/fragments.html:" in fragment.text
    assert "viewr" in fragment.text


def test_a_component_that_does_not_exist_or_has_another_macro_is_named(
    app: Flask, templates: Path
) -> None:
    change(templates / "components/footer.html", "macro footer(", "macro foter(")
    change(templates / "components/header.html", "ui.mark()", "ui.mrk()")
    page = Person(app).page("/credits")
    assert "components/footer.html has no macro named footer" in boxes(page)[1]
    assert "There is no file templates/components/mrk.html" in boxes(page)[0]


def test_a_misspelt_parameter_of_an_example_is_drawn_in_its_state(
    designers: Flask, templates: Path
) -> None:
    file = templates / "examples/empty.json"
    change(file, '"title": "No history yet"', '"titel": "No history yet"')
    page = Person(designers).page("/credits-demo/empty")
    (box,) = page.one("#state-action .demo-stage").texts(".mistake")
    assert f"templates/examples/empty.json:{line_of(file, 'titel')}" in box
    assert "takes no keyword argument 'titel'" in box
    assert "Nothing here yet" in page.one("#state-prompts .demo-stage").text
    assert len(boxes(page)) == 1


def test_a_missing_sign_in_a_component_is_drawn_in_each_of_its_states(
    designers: Flask, templates: Path
) -> None:
    file = templates / "components/empty.html"
    change(file, "{% if prompts %}", "{ if prompts %}")
    person = Person(designers)
    page = person.page("/credits-demo/empty")
    assert len(page.all(".demo-stage .mistake")) == 3
    for box in boxes(page):
        assert re.search(r"templates/components/empty.html:\d+ .*unknown tag", box)
    assert boxes(person.page("/credits-demo/button")) == []
    assert boxes(person.page("/credits-demo")) == []


def test_examples_that_are_no_json_are_drawn_on_their_page_alone(
    designers: Flask, templates: Path
) -> None:
    file = templates / "examples/empty.json"
    change(file, '"title": "With one action",', '"title": "With one action"')
    person = Person(designers)
    (box,) = boxes(person.page("/credits-demo/empty"))
    assert f"templates/examples/empty.json:{line_of(file, 'With one action') + 1}" in box
    assert "This is no JSON" in box
    assert "With mistakes" in person.page("/credits-demo").texts("h2")
    assert boxes(person.page("/credits-demo/button")) == []


def test_what_a_new_component_lacks_is_drawn_on_its_page(designers: Flask, templates: Path) -> None:
    new = templates / "components/badge.html"
    new.write_text("{# A badge. #}\n{%- macro badge() -%}<b>new</b>{%- endmacro -%}\n")
    person = Person(designers)
    (box,) = boxes(person.page("/credits-demo/badge"))
    assert "templates/examples/badge.json" in box
    assert "ui.badge has no examples" in box

    examples = {"about": "A badge.", "group": "Feedback", "use": ["Often."], "examples": {}}
    (templates / "examples/badge.json").write_text(json.dumps(examples))
    (box,) = boxes(person.page("/credits-demo/badge"))
    assert "static/css/components/badge.css" in box
    assert "ui.badge has no styles" in box

    del examples["use"]
    (templates / "examples/badge.json").write_text(json.dumps(examples))
    assert "This file has no 'use'" in boxes(person.page("/credits-demo/badge"))[0]


def test_a_mistake_in_an_email_is_drawn_for_that_email(designers: Flask, templates: Path) -> None:
    change(templates / "emails/receipt/subject.txt", "{{", "{{ nothing_like_this }}{{")
    person = Person(designers)
    page = person.page("/credits-demo/emails")
    assert "templates/emails/receipt/subject.txt:1" in boxes(page)[0]
    other = page.all('a[href^="/credits-demo/emails/verify/"]')[0]["href"]
    assert boxes(person.page(other)) == []


def test_outside_debug_mode_a_page_tells_nothing_of_a_mistake(
    usual: Flask, templates: Path
) -> None:
    change(templates / "components/footer.html", "{{ site.name }}", "{{ site.nam }}")
    answer = Person(usual).browser.get("/credits")
    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
    assert "footer.html" not in answer.text
    assert "mistake" not in answer.text
