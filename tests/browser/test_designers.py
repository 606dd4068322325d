"""The accent, and the site of the designers as a browser uses it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Cast

pytestmark = pytest.mark.browser

PIXEL = """(color) => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""
"""The three channels of any CSS color, a mixed one too."""


def contrast(one: list[int], other: list[int]) -> float:
    """Return the contrast of two colors as WCAG defines it, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: list[int]) -> float:
    parts = (channel / 255 for channel in color)
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def colors_of_the_studio(page: Page) -> dict[str, list[int]]:
    """Return the colors of the main button, its hover, its focus ring and the selected model."""
    button, row = page.locator("#generate"), page.locator(".row:has(> input:checked)").first

    def read(locator: Locator, name: str) -> list[int]:
        css = locator.evaluate(f"(element) => getComputedStyle(element)['{name}']")
        channels: list[int] = page.evaluate(PIXEL, css)
        return channels

    page.mouse.move(0, 0)
    found = {"button": read(button, "backgroundColor"), "text": read(button, "color")}
    button.hover()
    found |= {"hover": read(button, "backgroundColor"), "hover text": read(button, "color")}
    page.locator("textarea[name=prompt]").focus()
    found["focus"] = read(page.locator("textarea[name=prompt]"), "outlineColor")
    found |= {"wash": read(row, "backgroundColor"), "ink": read(row, "color")}
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_follows_from_the_accent_follows_a_changed_one(cast: Cast, dark: bool) -> None:
    page = cast.person(dark=dark, still=True).open("/")
    before = colors_of_the_studio(page)
    page.evaluate(
        "document.documentElement.style.setProperty('--accent', 'light-dark(#1d4e89, #8ab8f0)')"
    )
    after = colors_of_the_studio(page)

    assert after["button"] == ([138, 184, 240] if dark else [29, 78, 137])
    assert after["focus"] == after["button"]
    for name in ("button", "hover", "focus", "wash"):
        assert after[name] != before[name], name
        # Blue instead of green: the hue moves with the accent.
        assert after[name][2] > after[name][1], name
    for colors in (before, after):
        assert contrast(colors["text"], colors["button"]) >= 4.5
        assert contrast(colors["hover text"], colors["hover"]) >= 4.5
        assert contrast(colors["ink"], colors["wash"]) >= 4.5
        assert contrast(colors["focus"], colors["wash"]) >= 3


def test_a_plain_button_has_no_frame(cast: Cast) -> None:
    designer = cast.person()
    drawn = {}
    for kind in ("plain", "quiet"):
        button = designer.open(f"/credits-demo/button/{kind}").locator("main .button")
        drawn[kind] = [
            button.evaluate(f"(element) => getComputedStyle(element)['{name}']")
            for name in ("backgroundColor", "borderTopColor")
        ]
    assert drawn["plain"] == ["rgba(0, 0, 0, 0)", "rgba(0, 0, 0, 0)"]
    assert "rgba(0, 0, 0, 0)" not in drawn["quiet"]


def test_the_site_of_the_designers_filters_and_shows_code_in_place(cast: Cast) -> None:
    page = cast.person(still=True).open("/credits-demo/button")
    index = page.locator("#demo-groups")
    expect(index.get_by_role("link", name="model_picker")).to_be_visible()
    page.get_by_label("Filter", exact=True).fill("cost ind")
    expect(index.get_by_role("link")).to_have_text(["cost_indicator"])
    assert page.url.endswith("/credits-demo/button")

    page.get_by_role("link", name="Code of Main action").click()
    state = page.locator("#state-main")
    expect(state.locator("code").first).to_contain_text('kind="main"')
    state.get_by_text("HTML", exact=True).click()
    expect(state.locator("code").nth(2)).to_be_visible()
    expect(state.locator("code").nth(0)).to_be_hidden()

    rest, hover = (page.locator(f"#state-{name} .demo-stage .button") for name in ("main", "hover"))
    color = "(element) => getComputedStyle(element).backgroundColor"
    shown = hover.evaluate(color)
    assert shown != rest.evaluate(color)
    page.locator("#show-hover").check()
    assert rest.evaluate(color) == shown


def test_the_index_opens_over_the_page_on_a_phone_without_a_script(cast: Cast) -> None:
    page = cast.person(width=390, script=False).open("/credits-demo/button")
    link = page.locator("#demo-groups").get_by_role("link", name="model_picker")
    expect(link).to_be_hidden()
    page.get_by_role("button", name="All components").click()
    link.click()
    expect(page.locator("h1")).to_have_text("model_picker")
    page.get_by_role("link", name="Code of").first.click()
    expect(page.locator("code").first).to_contain_text("ui.model_picker(")


@pytest.mark.whole
def test_the_calls_run_as_the_page_shows_them(cast: Cast) -> None:
    guest = cast.person()
    page = guest.open("/credits-demo/embed")
    names = ("balance_js", "generate_js", "refusals_js")
    code = "\n".join(page.locator(f"[id=sample-{name}]").inner_text() for name in names)
    page.goto(guest.base + "/")
    ask = (
        f"async (order) => {{ {code}\n const on = Object.fromEntries(Object.keys(refusals)"
        ".concat('made').map((name) => [name, (answer) => [name, answer]]));"
        " return await generate(order, on); }"
    )
    read = f"async () => {{ {code}\n return await readBalance(); }}"
    cheap = {"prompt": "a fox", "model": "nano-banana"}

    assert page.evaluate(read) == {"freeImages": 3}
    name, answer = page.evaluate(ask, cheap)
    assert (name, answer["imageUrl"].startswith("/media/")) == ("made", True)
    for _ in range(2):
        assert page.evaluate(ask, cheap)[0] == "made"
    name, answer = page.evaluate(ask, cheap)
    assert (name, answer["signupUrl"].startswith("/auth/signup")) == ("limitReached", True)

    member = cast.person()
    page = member.sign_up("embed@example.com", "/")
    dear = {"prompt": "a fox", "model": "gpt-image", "quality": "high", "n": 4}
    assert page.evaluate(read) == {"credits": 50}
    assert page.evaluate(ask, dear)[0] == "made"
    assert page.evaluate(read) == {"credits": 18}
    name, answer = page.evaluate(ask, dear)
    assert (name, answer["shortfall"]) == ("creditsMissing", 14)
    page.evaluate(f"(answer) => {{ {code}\n refusals.creditsMissing(answer); }}", answer)
    expect(page.locator("dialog[open]")).to_be_visible()
