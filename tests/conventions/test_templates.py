"""Pages, components and examples match each other, and name only what exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import Environment, nodes
from lucide import IconDoesNotExist
from lucide.jinja import lucide

from creditapp.web.designers import component_docs
from creditapp.web.designers.examples import GROUPS, load_examples
from creditapp.web.designers.index import PAGES as DESIGNERS_PAGES
from creditapp.web.designers.shown_states import SHOWN_STATES
from tests.conventions.files import ROOT

TEMPLATES = ROOT / "templates"
COMPONENTS = sorted(path.stem for path in (TEMPLATES / "components").glob("*.html"))
SUBJECTS = load_examples(TEMPLATES / "examples", datetime(2026, 11, 21, tzinfo=UTC))
EXAMPLES = [
    (component.name, example.name) for component in SUBJECTS for example in component.examples
]

NO_PAGES = {
    "email_address",
    "gallery_filter",
    "health",
    "metrics",
    "provider_keys",
    "receipt_pdf",
    "studio_form",
    "studio_pricing",
    "studio_settings",
    "topup",
    "wall",
}
"""Modules of ``web`` without a page of their own: helpers, answers to machines, ``topup`` and
``provider_keys``, whose parts of the settings are components, ``email_address``, whose pages are
those of ``auth``, and ``wall``, the part of the studio with the results."""

API_PAGES = {"payment_requests"}
"""Pages of addresses of the API, which a browser opens after paying for a program."""

CSS = ROOT / "static" / "css"
NO_STYLES = {component.name for component in SUBJECTS if component.no_styles}
"""Components without styles of their own; their examples have the reason."""

_INLINE = re.compile(r"<[a-z][^>]*?\s(style|on[a-z]+|hx-on[:\w-]*)=", re.IGNORECASE)
_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>|<style\b", re.IGNORECASE)


def modules() -> list[str]:
    found = {path.stem for path in (ROOT / "creditapp" / "web").glob("*.py")}
    return sorted(found - NO_PAGES - {"__init__", "webhooks"})


def parsed() -> Iterator[tuple[str, nodes.Template]]:
    environment = Environment(extensions=["jinja2.ext.do"], autoescape=True)
    for path in sorted(TEMPLATES.rglob("*.html")):
        yield str(path.relative_to(ROOT)), environment.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", modules())
def test_a_page_has_a_folder_of_templates_and_tests_of_its_name(module: str) -> None:
    assert (TEMPLATES / "pages" / module).is_dir()
    assert (ROOT / "tests" / "web" / f"test_{module}.py").is_file()


def test_every_folder_of_pages_has_its_module() -> None:
    folders = {path.name for path in (TEMPLATES / "pages").iterdir()}
    assert folders == {*modules(), *API_PAGES}


def test_a_component_is_one_macro_named_like_its_file() -> None:
    for name, tree in parsed():
        if "/components/" in name:
            macros = [macro.name for macro in tree.find_all(nodes.Macro)]
            assert macros == [Path(name).stem], name


def test_every_example_has_its_component() -> None:
    assert {component for component, _ in EXAMPLES} <= set(COMPONENTS)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_its_example_and_its_styles(name: str) -> None:
    class_name = name.replace("_", "-")
    assert name in {component for component, _ in EXAMPLES}, (
        f"ui.{name} has no example: write templates/examples/{name}.json with all its states, "
        "as docs/designers.md says; /credits-demo shows them."
    )
    if name in NO_STYLES:
        sheet = CSS / "components" / f"{name}.css"
        assert not sheet.exists(), f'take "no_styles" out of {name}.json'
        return
    sheet = CSS / "components" / f"{name}.css"
    assert sheet.is_file(), (
        f"ui.{name} has no styles: write static/css/components/{name}.css with the class "
        f'.{class_name}, or say "no_styles" with the reason in templates/examples/{name}.json.'
    )
    own = re.compile(rf"\.{class_name}(?![a-z])")
    assert own.search(sheet.read_text()), f"{sheet.name} has no rule for .{class_name}"
    template = (TEMPLATES / "components" / f"{name}.html").read_text(encoding="utf-8")
    assert re.search(rf'[" ]{class_name}(?![a-z])', template), (
        f"{name}.html uses no class .{class_name}: give it to its outermost element."
    )


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_parameter_of_a_component_is_described(app: Flask, name: str) -> None:
    with app.app_context():
        docs = component_docs.read(name)
    assert docs.lead, f"the comment at the top of {name}.html says what it is"
    bare = [parameter.name for parameter in docs.parameters if not parameter.about]
    assert bare == [], f'describe them in the comment at the top of {name}.html: "{bare[:1]}: ..."'


def test_every_component_is_in_a_group_and_says_when_to_use_it() -> None:
    for component in SUBJECTS:
        where = f"templates/examples/{component.name}.json"
        assert component.group in GROUPS, where
        assert component.use, where
        assert {example.show for example in component.examples} <= {"", *SHOWN_STATES}, where


def test_no_component_has_the_name_of_another_page_of_the_designers() -> None:
    others = {page.name for page in DESIGNERS_PAGES}
    assert not others & set(COMPONENTS)


def test_every_sheet_of_components_has_its_component() -> None:
    assert {sheet.stem for sheet in (CSS / "components").glob("*.css")} <= set(COMPONENTS)


def test_every_example_renders_without_inline_style_or_script(looked_at: Flask) -> None:
    client = looked_at.test_client()
    wrong = []
    for component, state in EXAMPLES:
        page = client.get(f"/credits-demo/{component}/{state}")
        inline = _INLINE.findall(page.text) + _SCRIPT.findall(page.text)
        if page.status_code != 200 or inline:
            wrong.append(f"{component}/{state}: {page.status_code} {inline}")
    assert wrong == [], "\n".join(wrong)


def test_no_template_imports_another_and_none_has_inline_style_or_script() -> None:
    for name, tree in parsed():
        assert not list(tree.find_all((nodes.Import, nodes.FromImport))), name
        text = (ROOT / name).read_text(encoding="utf-8")
        assert _INLINE.findall(text) == [], name
        # An email cannot load a style sheet: only the layout of emails has a style element.
        if name != "templates/emails/layout.html":
            assert _SCRIPT.findall(text) == [], name


def test_every_component_that_a_template_calls_exists() -> None:
    for name, tree in parsed():
        for read in tree.find_all(nodes.Getattr):
            if isinstance(read.node, nodes.Name) and read.node.name == "ui":
                assert read.attr in COMPONENTS, f"{name} calls ui.{read.attr}"


def test_every_icon_that_a_template_names_exists() -> None:
    named = {(name, icon) for name, tree in parsed() for icon in _icons(tree)}
    assert len(named) > 20
    for name, icon in named:
        try:
            lucide(icon)
        except IconDoesNotExist:
            pytest.fail(f"{name} names the icon {icon!r}")


def test_every_path_in_the_templates_has_a_route(looked_at: Flask) -> None:
    for name, tree in parsed():
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "url_for":
                assert call.args[0].as_const() in looked_at.view_functions, name
    paths = _static_paths()
    assert len(paths) > 20
    routes = looked_at.url_map.bind("localhost")
    for name, path in paths:
        allowed = set(routes.allowed_methods(path))
        assert allowed - {"OPTIONS"}, f"{name} links to {path}"


def test_every_sheet_and_script_is_loaded(looked_at: Flask) -> None:
    styles = looked_at.test_client().get("/static/styles.css").text
    for sheet in CSS.rglob("*.css"):
        assert sheet.read_text() in styles, f"{sheet} is in no folder that rendering.STYLES names"
    everything = "".join(path.read_text() for path in TEMPLATES.rglob("*.html"))
    for script in (ROOT / "static" / "js").rglob("*.js"):
        assert str(script.relative_to(ROOT / "static")) in everything


@pytest.mark.parametrize("path", ["/", "/credits", "/auth/login", "/credits-demo"])
def test_every_file_that_a_page_loads_exists(looked_at: Flask, path: str) -> None:
    browser = looked_at.test_client()
    page = browser.get(path).text
    loaded = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    assert len(loaded) >= 4
    for file in loaded:
        assert browser.get(file).status_code == 200, file


def test_styles_name_only_files_that_exist() -> None:
    for sheet in (ROOT / "static" / "css").rglob("*.css"):
        for url in re.findall(r'url\(["\']?([^"\')]+)', sheet.read_text()):
            if not url.startswith(("data:", "#")):
                assert (sheet.parent / url).is_file(), f"{sheet.name} names {url}"


def _icons(tree: nodes.Template) -> Iterator[str]:
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "icon" and call.args:
            yield from _values(call.args[0])
        for keyword in call.kwargs:
            if keyword.key == "icon_name":
                yield from _values(keyword.value)


def _values(expression: nodes.Expr) -> Iterator[str]:
    """Yield the strings that an expression can evaluate to, its conditions excluded."""
    if isinstance(expression, nodes.Const) and isinstance(expression.value, str):
        yield expression.value
    elif isinstance(expression, nodes.CondExpr):
        yield from _values(expression.expr1)
        if expression.expr2 is not None:
            yield from _values(expression.expr2)
    elif isinstance(expression, nodes.Getitem) and isinstance(expression.node, nodes.Dict):
        for pair in expression.node.items:
            yield from _values(pair.value)


def _static_paths() -> set[tuple[str, str]]:
    """Return every literal path in the templates, without its query."""
    found = set()
    for path in TEMPLATES.rglob("*.html"):
        if "emails" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        pattern = r'(?:href|action|formaction|hx-get|hx-post)="(/[^"{?#]*)["?#]'
        found |= {(path.name, link) for link in re.findall(pattern, text)}
        found |= {(path.name, link) for link in re.findall(r'href="(/[^"{?#]*)["?#]', text)}
    return found
