"""The designers' pages document every component, to anyone, and harm nobody."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import ChoiceLoader, DictLoader

from creditapp.web.designers.examples import GROUPS, load_emails, load_examples
from creditapp.web.designers.index import PAGES
from creditapp.web.designers.shown_states import with_shown_states
from tests.app_factory import Person
from tests.conventions.files import ROOT
from tests.pages import Element, parse_html

START = datetime(2026, 11, 21, tzinfo=UTC)
EMAILS = load_emails(ROOT / "templates" / "emails", START)
COMPONENTS = load_examples(ROOT / "templates" / "examples", START)
NAMES = [component.name for component in COMPONENTS]
BYTES_MAX = 100 * 1024


def opened(client: FlaskClient, path: str) -> Element:
    """Return a page that is not too large."""
    answer = client.get(path)
    assert answer.status_code == 200, path
    assert len(answer.data) <= BYTES_MAX, f"{path} has {len(answer.data)} bytes"
    return parse_html(answer.text)


def test_the_index_names_every_page_in_its_group_with_underscores(client: FlaskClient) -> None:
    page = opened(client, "/credits-demo")
    assert page.texts("#demo-groups h2") == ["Start", *GROUPS]
    links = {link["href"]: link.text for link in page.all("#demo-groups a")}
    assert {f"/credits-demo/{name}": name for name in NAMES}.items() <= links.items()
    assert {f"/credits-demo/{each.name}": each.title for each in PAGES}.items() <= links.items()
    for component in COMPONENTS:
        assert component.about in page.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cost_", ["cost_chart", "cost_indicator"]),
        ("Cost indicator", ["cost_indicator"]),
        ("  MODEL radio ", ["model_picker"]),
        ("<b>", []),
    ],
)
def test_the_filter_works_without_a_script(
    client: FlaskClient, query: str, found: list[str]
) -> None:
    index = opened(client, "/credits-demo")
    form = index.one(".demo-filter")
    assert (form["action"], form.has_attribute("method")) == ("/credits-demo", False)
    page = parse_html(client.get("/credits-demo", query_string={"q": query}).text)
    assert set(found) <= set(page.texts("#demo-groups a"))
    if not found:
        assert page.texts("#demo-groups a") == []
        assert query in page.one("#demo-groups").text
    else:
        assert len(page.texts("#demo-groups a")) < 5
    assert page.value("q") == query.strip()


@pytest.mark.parametrize("component", COMPONENTS, ids=NAMES)
def test_a_component_has_a_page_with_its_use_its_states_and_its_parameters(
    client: FlaskClient, component: object
) -> None:
    assert hasattr(component, "name")
    page = opened(client, f"/credits-demo/{component.name}")
    assert page.one("h1").text == component.name
    assert page.one('#demo-groups [aria-current="page"]').text == component.name
    for rule in (*component.use, *component.avoid):
        assert rule in page.text
    for example in component.examples:
        state = page.one(f'.demo-state[id="state-{example.name}"]')
        assert page.one(f'[id="state-{example.name}"] > h3').text == example.title
        links = [link["href"] for link in state.all(".demo-links a")]
        alone = f"/credits-demo/{component.name}/{example.name}"
        assert links == [f"{alone}/code", alone]
    assert_sound(page)


@pytest.mark.parametrize("name", ["", "/emails", *(f"/{page.name}" for page in PAGES)])
def test_the_other_pages_are_sound(client: FlaskClient, name: str) -> None:
    assert_sound(opened(client, f"/credits-demo{name}"))


def assert_sound(page: Element) -> None:
    """Assert unique ids, anchors and references that land, and landmarks told apart by name."""
    ids = Counter(element["id"] for element in page.all("[id]"))
    assert [name for name, count in ids.items() if count > 1] == []
    named = [link["href"][1:] for link in page.all('[href^="#"]')]
    named += [label["for"] for label in page.all("label[for]")]
    for attribute in ("aria-labelledby", "aria-describedby", "popovertarget", "commandfor"):
        named += [part for each in page.all(f"[{attribute}]") for part in each[attribute].split()]
    assert [name for name in named if name not in ids] == []
    landmarks = Counter(
        (kind, landmark["aria-label"])
        for kind in ("nav", "aside", "section", "[role=region]")
        for landmark in page.all(f"{kind}[aria-label]")
    )
    assert [landmark for landmark, count in landmarks.items() if count > 1] == []


def test_parameters_come_from_the_comment_and_the_macro(client: FlaskClient) -> None:
    page = opened(client, "/credits-demo/button")
    rows = {row.one("th").text: row.texts("td") for row in page.all(".demo-parameters tbody tr")}
    assert list(rows) == [
        *("text", "kind", "href", "type", "name", "value", "icon_name", "price_micro", "wide"),
        "attributes",
    ]
    assert rows["text"] == ["required", "what it does, starting with a verb."]
    assert rows["type"] == ['"submit"', "as in HTML, for a button."]


def test_the_code_of_a_state_has_tabs_that_need_no_script(client: FlaskClient) -> None:
    page = opened(client, "/credits-demo/empty/action/code")
    tabs = page.all(".demo-tabs > input[type=radio]")
    assert page.texts(".demo-tabs > label") == ["Call", "Data", "HTML"]
    assert [tab.has_attribute("checked") for tab in tabs] == [True, False, False]
    call, data, html = (element.raw for element in page.all(".demo-tab code"))
    assert call.startswith('{{ ui.empty(\n  title="No history yet",')
    file = json.loads((ROOT / "templates/examples/empty.json").read_text())
    assert json.loads(data) == file["examples"]["action"]["args"]
    assert parse_html(html).one("section.empty .empty-title").text == "No history yet"
    assert_sound(page)


def test_a_call_with_long_data_names_it(client: FlaskClient) -> None:
    page = opened(client, "/credits-demo/job_card/queued/code")
    assert "job=job" in page.one("code[id$=Call-text]").raw


def test_no_preview_posts_anything_or_has_the_token_of_a_visitor(app: Flask) -> None:
    member = Person(app).sign_up("mallory@example.com")
    for name in ("confirm", "plan_list", "pack_list", "header", "topup_form", "image_card"):
        page = opened(member.browser, f"/credits-demo/{name}")
        previews = page.all(".demo-stage")
        assert any(preview.has("form") for preview in previews), name
        for preview in previews:
            assert not preview.has('form[method="post"], [hx-post], [hx-trigger^="every"]'), name
            assert all(not token["value"] for token in preview.all("[name=csrf_token]")), name
        assert "mallory@example.com" not in page.text


def test_states_of_a_hand_are_drawn_by_the_rules_that_draw_them_in_use(client: FlaskClient) -> None:
    states = {example.show for each in COMPONENTS for example in each.examples}
    assert states == {"", "hover", "focus", "loading"}
    page = opened(client, "/credits-demo/button")
    assert page.has("#state-hover .show-hover .button-main")
    sheet = re.findall(r'href="(/static/states.css[^"]*)"', page.html)
    styles = client.get(sheet[0]).text
    assert ".button:is(:hover, :where(.show-hover *" in styles
    assert with_shown_states(b"a:hover b{}").startswith(b"a:is(:hover, :where(.show-hover *,")


def test_the_tokens_and_the_icons_are_those_of_the_files(client: FlaskClient) -> None:
    declared = set(
        re.findall(r"^\s+(--[\w-]+):", (ROOT / "static/css/tokens.css").read_text(), re.M)
    )
    shown = "".join(
        opened(client, f"/credits-demo/{name}").text for name in ("tokens", "type", "space")
    )
    assert [name for name in sorted(declared) if name not in shown] == []
    icons = opened(client, "/credits-demo/icons").texts(".demo-icons code")
    assert {"circle-alert", "download", "copy", "menu", "plus"} <= set(icons)
    assert icons == sorted(icons)


def test_the_widgets_run_as_the_page_shows_them(own_app: Flask) -> None:
    page = opened(own_app.test_client(), "/credits-demo/embed")

    def sample(name: str) -> str:
        return page.one(f'[id="sample-{name}"]').raw

    widgets = [
        sample(name) for name in ("balance", "add_credits", "cost_indicator", "model_picker")
    ]
    template = sample("page").replace("{# the widgets #}", "\n".join(widgets))
    namespace: dict[str, object] = {"__name__": "my_page"}
    exec(sample("my_page"), namespace)
    fresh = own_app
    fresh._got_first_request = False
    fresh.register_blueprint(namespace["pages"])  # type: ignore[arg-type]
    assert own_app.jinja_env.loader is not None
    own_app.jinja_env.loader = ChoiceLoader(
        [own_app.jinja_env.loader, DictLoader({"pages/my_page/index.html": template})]
    )
    guest = Person(own_app).page("/my-page")
    assert guest.one("main a.balance").text == "3 of 3 free images left"
    assert guest.has('main a.button[href="/credits?next=/my-page"]')
    alice = Person(own_app).sign_up("alice@example.com").page("/my-page?model=flux-dev&n=2")
    assert alice.one("main a.balance").text.startswith("Balance: 50")
    assert alice.one(".model-picker input[checked]")["value"] == "flux-dev"
    assert "48" in alice.one("main .cost-indicator").text


def test_the_four_widgets_show_the_states_that_people_meet() -> None:
    states = {each.name: {example.name for example in each.examples} for each in COMPONENTS}
    for widget in ("balance", "pack_list", "cost_indicator", "model_picker"):
        assert len(states[widget]) >= 3, widget
    assert states["pack_modal"] >= {"open", "guest"}
    for word in ("guest", "low", "insufficient"):
        assert any(word in state for state in states["cost_indicator"]), word


def test_an_unknown_name_is_not_found_and_nothing_is_posted(app: Flask) -> None:
    person = Person(app)
    for path in ("none", "balance/none", "none/low", "balance/none/code", "../x/y", "tokens/x"):
        assert person.browser.get(f"/credits-demo/{path}").status_code == 404, path
    assert person.post("/credits-demo").status_code == 405


def test_every_email_is_shown_as_html_and_as_text(app: Flask) -> None:
    browser = Person(app).browser
    page = Person(app).page("/credits-demo/emails")
    for email in EMAILS:
        assert any(email.name in text for text in page.texts("code"))
        for example in email.examples:
            path = f"/credits-demo/emails/{email.name}/{example.name}"
            assert page.has(f'a[href="{path}"]')
            shown = browser.get(path)
            assert parse_html(shown.text).has(f'iframe[src="{path}/html"]')
            assert "Hello" in shown.text
            assert "frame-src 'self'" in shown.headers["Content-Security-Policy"]
            alone = browser.get(f"{path}/html")
            assert alone.status_code == 200
            assert "<body" in alone.text
            policy = alone.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "sandbox" in policy
            assert alone.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert browser.get("/credits-demo").headers["X-Frame-Options"] == "DENY"
    for path in ("/credits-demo/emails/none/paid", "/credits-demo/emails/receipt/none/html"):
        assert browser.get(path).status_code == 404
