"""The studio's form in a browser: every operation by keyboard, several models, the first screen."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import WAIT_MS_MAX, Cast, choose_model, in_looks
from tests.browser.test_access import assert_sound
from tests.browser.test_story import buy_the_best_pack, press_until

pytestmark = pytest.mark.browser

TABS = ("text-to-image", "image-to-image", "upscale", "video", "audio", "lipsync")
TITLE = "What should it show?"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_has_prompt_model_shape_count_and_button(
    cast: Cast, width: int, height: int
) -> None:
    member = cast.person(width=width)
    member.sign_up(f"screen{width}@example.com")
    page = member.page
    page.set_viewport_size({"width": width, "height": height})
    member.open("/")
    # Whoever has confirmed the address sees the form alone.
    page.evaluate("document.querySelector('main > .toasts')?.remove()")
    seen = ["#field-prompt", ".model-menu > summary", "#generate", "#options .choice >> nth=0"]
    if width == 1280:
        seen.append("#options .choice >> nth=1")
    panel = page.locator("#price-panel").bounding_box()
    assert panel is not None
    for selector in seen:
        box = page.locator(selector).bounding_box()
        assert box is not None, selector
        floor = height if selector == "#generate" else panel["y"]
        assert box["y"] >= 0, selector
        assert box["y"] + box["height"] <= floor + 1, (selector, box, floor)
    assert page.evaluate("scrollY") == 0


def test_the_chosen_model_is_in_sight_and_its_list_opens_and_closes(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("menu@example.com")
    page = alice.page
    chosen, menu = page.locator("#model-chosen"), page.locator(".model-menu")
    expect(chosen).to_contain_text("Flux Dev")
    menu.locator("summary").click()
    expect(page.locator("#model-flux-dev")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(menu.locator("summary")).to_be_focused()

    # The arrow keys try models out, with their prices, while the list stays open; Enter takes one.
    page.keyboard.press("Enter")
    expect(page.locator("#model-flux-dev")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#generate")).to_contain_text("0.5")
    expect(page.locator("#model-nano-banana")).to_be_focused()
    page.keyboard.press("Enter")
    expect(menu).not_to_have_attribute("open", "")
    expect(chosen).to_contain_text("Nano Banana")
    choose_model(page, "gpt-image")
    expect(menu).not_to_have_attribute("open", "")
    expect(chosen).to_contain_text("GPT Image")
    assert page.evaluate("document.getElementById('jobs').children.length") == 0


def test_the_choice_is_there_again_after_a_reload_and_for_a_guest_after_signing_up(
    cast: Cast,
) -> None:
    guest = cast.person()
    page = guest.open("/")
    choose_model(page, "lora-normal")
    expect(page.locator("#model-chosen")).to_contain_text("LORA Normal")
    guest.sign_up("carried@example.com")
    expect(page.locator("#model-chosen")).to_contain_text("LORA Normal")
    page.locator("#tab-video").click()
    expect(page).to_have_url(re.compile("operation=video"))
    guest.open("/")
    expect(page.locator("#tab-video")).to_have_attribute("aria-current", "page")


@pytest.mark.parametrize("target", ["#generate", "label[for='n-2']"])
def test_a_price_that_arrives_while_the_pointer_is_down_takes_no_click_away(
    cast: Cast, target: str
) -> None:
    alice = cast.person()
    alice.sign_up(f"slow{len(target)}@example.com")
    page = alice.page
    prices = hold_prices(page)
    page.get_by_label(TITLE).press_sequentially("A mountain in three colours")
    box = page.locator(target).bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    page.mouse.down()
    let_arrive(page, prices)
    page.mouse.up()
    if target == "#generate":
        expect(page.locator(".job-card-succeeded")).to_have_count(1)
    else:
        expect(page.locator("#n-2")).to_be_checked()
        expect(page.locator("#generate")).to_contain_text("2")


def test_a_price_that_waited_for_the_pointer_is_shown_after_it(cast: Cast) -> None:
    alice = cast.person()
    page = alice.sign_up("waited@example.com", "/?operation=audio")
    expect(page.locator("#generate")).to_contain_text("1")
    prices = hold_prices(page)
    page.locator("#field-prompt").fill("A long text. " * 40)
    box = page.locator("#options").bounding_box()
    assert box
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    let_arrive(page, prices)
    expect(page.locator("#generate")).to_contain_text("1")
    page.mouse.up()
    expect(page.locator("#generate")).to_contain_text("3")


def hold_prices(page: Page) -> list[Route]:
    """Let no price arrive from now on; return those that were asked for, which grow."""
    held: list[Route] = []
    page.route("**/studio/price", lambda route: held.append(route))
    return held


def let_arrive(page: Page, held: list[Route]) -> None:
    """Wait until a price was asked for, and let it and those after it arrive."""
    for _ in range(WAIT_MS_MAX // 50):
        if held:
            break
        page.wait_for_timeout(50)
    with page.expect_response("**/studio/price"):
        page.unroute("**/studio/price")  # which lets the held ones go on
    # A frame, in which the page would show it.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def test_ctrl_enter_submits_and_the_focus_stays(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("ctrl@example.com")
    page = alice.page
    prompt = page.get_by_label(TITLE)
    expect(page.locator("#prompt-keys")).to_be_visible()
    prompt.fill("A mountain in three colours")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".job-card-succeeded")).to_have_count(1)
    expect(prompt).to_be_focused()
    expect(prompt).to_have_value("A mountain in three colours")

    page.locator("#generate").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".job-card-succeeded")).to_have_count(2)
    expect(page.locator("#generate")).to_be_focused()

    page.locator("label[for='n-2']").click()
    expect(page.locator("#generate")).to_contain_text("2")
    expect(page.locator("#n-2")).to_be_focused()


def test_running_short_offers_a_way_on_and_keeps_the_focus(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("short@example.com")
    page = alice.page
    page.get_by_label(TITLE).fill("A poster")
    choose_model(page, "gpt-image")
    page.locator("label[for='quality-high']").click()
    page.locator("label[for='n-4']").click()
    expect(page.locator("#generate")).to_contain_text("32")
    page.locator("#generate").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#price-panel")).to_contain_text("14 credits short")
    expect(page.locator("#price-panel .button-main")).to_be_focused()
    page.get_by_role("button", name="Make 2 images (16)").click()
    expect(page.locator("#generate")).to_contain_text("16")
    expect(page.locator("#generate")).to_be_focused()
    expect(page.get_by_label(TITLE)).to_have_value("A poster")


def test_use_again_fills_the_form_in_place(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("again@example.com")
    page = alice.page
    page.get_by_label(TITLE).fill("A harbour at dusk")
    choose_model(page, "nano-banana")
    page.locator("label[for='n-2']").click()
    expect(page.locator("#generate .amount")).to_contain_text("1")
    page.locator("#generate").click()
    expect(page.locator(".job-card-succeeded")).to_have_count(1)
    choose_model(page, "flux-dev")
    page.get_by_label(TITLE).fill("Something else")
    page.evaluate("window.same = true")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.locator(".job-card-succeeded").get_by_text("Use again").click()
    expect(page.get_by_label(TITLE)).to_have_value("A harbour at dusk")
    expect(page.get_by_label(TITLE)).to_be_focused()
    expect(page.locator("#model-chosen")).to_contain_text("Nano Banana")
    expect(page.locator("#n-2")).to_be_checked()
    assert page.evaluate("window.same")
    assert [url for url in requests if url.endswith("/studio")] == [alice.base + "/studio"]
    assert not [url for url in requests if "harbour" in url], "a prompt is in no address"


@pytest.mark.whole
def test_a_seed_makes_the_same_image_again_and_each_model_has_a_sample(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("seed@example.com")
    page = alice.page
    expect(page.get_by_label(TITLE)).to_have_attribute("placeholder", re.compile(r"\w"))
    page.locator(".model-menu > summary").click()
    rows = page.locator(".model-picker > li")
    expect(rows.locator("img.model-sample")).to_have_count(rows.count())
    expect(page.locator("#model-gpt-image-facts")).to_contain_text("Edits up to 16 images")
    page.keyboard.press("Escape")
    page.get_by_label(TITLE).fill("A quiet lake")
    page.get_by_text("More settings").click()
    page.get_by_label("Seed").fill("7")
    for made in (1, 2):
        page.locator("#generate").click()
        expect(page.locator(".job-card-succeeded")).to_have_count(made)
    files = page.locator(".job-card-succeeded figure a").evaluate_all("(e) => e.map((a) => a.href)")
    images = {link.rpartition("/")[2].partition("?")[0] for link in files if "/images/" in link}
    assert len(images) == 2
    first, second = (page.request.get(f"{alice.base}/media/{each}").body() for each in images)
    assert first == second


def test_an_example_fills_the_prompt_in_place(cast: Cast) -> None:
    guest = cast.person()
    page = guest.open("/")
    page.evaluate("window.same = true")
    page.locator(".empty-prompt").first.click()
    expect(page.get_by_label(TITLE)).to_have_value(re.compile("lighthouse"))
    expect(page.get_by_label(TITLE)).to_be_focused()
    assert page.evaluate("window.same")


def test_a_refusal_is_put_at_its_field(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("field@example.com")
    page = alice.page
    page.evaluate("document.querySelector('#field-prompt').removeAttribute('required')")
    page.locator("#generate").click()
    expect(page.locator("#field-prompt-error")).to_contain_text("Describe what the image should")
    expect(page.get_by_label(TITLE)).to_be_focused()
    expect(page.locator("#problem .problem")).to_have_count(0)
    page.keyboard.type("A fox")
    expect(page.locator("#field-prompt-error")).to_have_count(0)
    expect(page.locator("#balance")).to_contain_text("50")


def test_quick_changes_end_with_the_last_one_and_its_price(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("quick@example.com")
    page = alice.page
    choose_model(page, "gpt-image")
    page.locator("#n-1").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(90)
    expect(page.locator("#generate")).to_contain_text("8")
    expect(page.locator("#n-4")).to_be_checked()
    expect(page.locator("#n-4")).to_be_focused()


def test_every_operation_is_ordered_by_keyboard_costs_what_it_says_and_plays(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("everything@example.com")
    page = alice.page
    buy_the_best_pack(page)
    expect(page.locator("#balance")).to_contain_text("160")
    alice.open("/")
    ends = {
        "text-to-image": ("1", "159", "img"),
        "image-to-image": ("1", "158", "img"),
        "upscale": ("5", "153", "img"),
        "video": ("25", "128", "video"),
        "audio": ("1", "127", "audio"),
        "lipsync": ("20", "107", "video"),
    }
    sources = {"image-to-image": ["images"], "upscale": ["image"], "lipsync": ["image", "audio"]}
    for done, (operation, (price, left, element)) in enumerate(ends.items(), 1):
        open_tab(page, operation)
        for field in sources.get(operation, []):
            choose_own(page, field)
        if operation not in ("upscale", "lipsync"):
            page.locator("#field-prompt").focus()
            page.keyboard.press("Control+A")
            page.keyboard.type(f"A quiet lake {done}")
        expect(page.locator("#generate")).to_contain_text(re.compile(rf"\b{price} credit"))
        press_until(page, "#generate")
        page.keyboard.press("Enter")
        expect(page.locator(".job-card-succeeded")).to_have_count(done, timeout=60_000)
        expect(page.locator("#balance")).to_contain_text(re.compile(rf"\b{left}\b"))
        assert play(page) == element, operation


def choose_own(page: Page, field: str) -> None:
    """Choose the newest of one's own files by keyboard."""
    press_until(page, f"#field-{field} .source-picker-own > summary")
    page.keyboard.press("Enter")
    press_until(page, f"#field-{field} [data-sources-recent] input")
    page.keyboard.press("Space")
    expect(page.locator(f"#field-{field} [data-sources-chosen] [data-source]")).to_have_count(1)


def play(page: Page) -> str:
    """Play the newest result, or decode its image; return the name of its element."""
    newest = page.locator(".job-card-succeeded").first.locator(
        ":is(figure video, audio, figure img)"
    )
    name = newest.first.evaluate(
        """async (element) => {
          if (element.matches("img")) await element.decode();
          else {
            element.muted = true;
            await element.play();
            while (!element.currentTime) await new Promise((done) => setTimeout(done, 50));
          }
          return element.localName;
        }"""
    )
    return str(name)


def open_tab(page: Page, operation: str) -> None:
    """Choose an operation by the arrow keys."""
    page.locator(".operation-tab[aria-current]").focus()
    for _ in TABS:
        if page.evaluate("document.activeElement.id") == f"tab-{operation}":
            break
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(f"#tab-{operation}")).to_have_attribute("aria-current", "page")
    expect(page.locator(f"#tab-{operation}")).to_be_focused()


def test_the_price_of_speech_follows_its_text(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("speech@example.com")
    page = alice.page
    page.locator("#tab-audio").click()
    prompt = page.get_by_label("What should be said?")
    prompt.fill("word " * 50)
    expect(page.locator("#generate")).to_contain_text("2")
    expect(page.locator("#price-panel")).to_contain_text("2 started blocks")
    expect(prompt).to_be_focused()
    page.locator("label[for='voice-coral']").click()
    expect(page.locator("#voice-coral")).to_be_checked()
    expect(prompt).to_have_value(re.compile("word word"))


def test_several_models_are_compared_at_one_price(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("compare@example.com")
    page = alice.page
    page.get_by_label(TITLE).fill("A harbour at dusk")
    page.locator(".model-menu > summary").click()
    page.locator("#compare").check()
    expect(page.locator("#models-flux-dev")).to_be_checked()
    page.locator("#models-nano-banana").check()
    expect(page.locator("#generate")).to_contain_text("1.5")
    page.locator("#models-nano-banana-pro").check()
    expect(page.locator("#generate")).to_contain_text("3.5")
    page.keyboard.press("Escape")
    expect(page.locator("#model-chosen .model-row")).to_have_count(3)
    expect(page.locator("#price-panel .slip-part")).to_have_count(3)
    page.locator("#generate").click()
    expect(page.locator(".job-card-succeeded")).to_have_count(3)
    expect(page.locator("#balance")).to_contain_text("46.5")


@in_looks(1)
def test_axe_finds_nothing_on_any_tab(cast: Cast, width: int, dark: bool) -> None:
    member = cast.person(width=width, dark=dark, still=True)
    page = member.open("/?operation=upscale")
    assert_sound(page, "a guest's upscale")
    member.sign_up(f"tabs{width}{dark}@example.com".lower())
    for operation in TABS:
        assert_sound(member.open(f"/?operation={operation}"), operation)
    member.open("/?operation=text-to-image")
    page.locator(".model-menu > summary").click()
    assert_sound(page, "the list of models")
    page.locator("#compare").check()
    page.locator("#models-gpt-image").check()
    expect(page.locator("#model-chosen .model-row")).to_have_count(2)
    assert_sound(page, "the list of models to compare")


def test_every_tab_fits_the_smallest_phone(cast: Cast) -> None:
    member = cast.person(width=320)
    member.sign_up("tiny@example.com")
    for operation in TABS:
        page = member.open(f"/?operation={operation}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, operation


def test_without_scripts_a_tab_a_model_and_a_price_are_links_and_buttons(cast: Cast) -> None:
    alice = cast.person(script=False)
    alice.sign_up("links@example.com")
    page = alice.page
    page.locator("#tab-video").click()
    expect(page.get_by_label("What should happen?")).to_be_visible()
    page.locator("label[for='seconds-10']").click()
    page.get_by_role("button", name="Update price").click()
    expect(page.locator("#generate")).to_contain_text("50")
    page.locator("#tab-text-to-image").click()
    page.get_by_label(TITLE).fill("A fox in the snow")
    page.locator(".model-menu > summary").click()
    page.locator("label[for=model-nano-banana]").click()
    page.get_by_role("button", name="Update price").click()
    expect(page.locator("#model-chosen")).to_contain_text("Nano Banana")
    expect(page.get_by_label(TITLE)).to_have_value("A fox in the snow")
    page.locator("#generate").click()
    expect(page).to_have_url(re.compile("/generations/gen_"))
