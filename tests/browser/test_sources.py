"""The source picker in a browser: upload, drop, paste, pick, remove, by keyboard, and for axe."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Cast, Person, in_looks
from tests.browser.test_access import assert_sound
from tests.generation.files import photograph, png, wav

pytestmark = pytest.mark.browser

EDIT = "/?operation=image-to-image"

_FILES = """([files, kind, at]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  const target = document.querySelector(at);
  const options = { bubbles: true, cancelable: true };
  if (kind === "paste") {
    target.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
    return;
  }
  for (const type of ["dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(type, { ...options, dataTransfer: transfer }));
  }
}"""


def bring(page: Page, kind: str, at: str, *files: tuple[str, str, bytes]) -> None:
    """Drop or paste files, as the browser tells a page of it."""
    encoded = [[name, mime, base64.b64encode(data).decode()] for name, mime, data in files]
    page.evaluate(_FILES, [encoded, kind, at])


def member_at(cast: Cast, name: str, path: str = EDIT, **options: object) -> Person:
    person = cast.person(**options)  # type: ignore[arg-type]
    person.sign_up(f"{name}@example.com", path)
    return person


def chosen(page: Page, field: str = "images") -> Locator:
    return page.locator(f"#field-{field} [data-sources-chosen] [data-source]")


def recent(page: Page, field: str = "images") -> Locator:
    return page.locator(f"#field-{field} [data-sources-recent] [data-source]")


def test_a_file_is_uploaded_by_the_button_and_removed_by_keyboard(cast: Cast) -> None:
    page = member_at(cast, "button").page
    page.locator("#field-images-file").set_input_files(
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photograph()}
    )
    expect(chosen(page)).to_have_count(1)
    expect(chosen(page)).to_contain_text("40 × 80")
    expect(chosen(page).locator("img")).to_have_js_property("complete", True)
    remove = chosen(page).get_by_role("button", name="Remove")
    remove.focus()
    page.keyboard.press("Enter")
    expect(chosen(page)).to_have_count(0)
    expect(page.locator("#field-images-file")).to_be_focused()
    # What was removed can be chosen again.
    page.get_by_text("Choose one of yours").click()
    recent(page).locator("input").focus()
    page.keyboard.press("Space")
    expect(chosen(page)).to_have_count(1)
    assert_sound(page, "the picker with a file")


def test_files_are_dropped_and_pasted(cast: Cast) -> None:
    page = member_at(cast, "drop").page
    drop = (
        "#field-images",
        ("a.png", "image/png", png(60, 40)),
        ("b.png", "image/png", png(30, 30)),
    )
    bring(page, "drop", *drop)
    expect(chosen(page)).to_have_count(2)
    # Pasted anywhere in the page, even while the prompt has the focus.
    bring(page, "paste", "#field-prompt", ("c.png", "image/png", png(20, 50)))
    expect(chosen(page)).to_have_count(3)
    expect(chosen(page).nth(2)).to_contain_text("20 × 50")
    ids = page.evaluate("new FormData(document.getElementById('studio-form')).getAll('images')")
    assert len(ids) == 3
    assert all(re.fullmatch(r"upl_\w{26}", each) for each in ids)


@pytest.mark.whole
def test_a_refused_file_says_so_in_its_place(cast: Cast) -> None:
    page = member_at(cast, "refused-file").page
    bring(page, "drop", "#field-images", ("photo.png", "image/png", b"only a text"))
    error = page.locator("#field-images-error")
    expect(error).to_contain_text("This file is of a type that is not accepted.")
    expect(chosen(page)).to_have_count(0)
    assert_sound(page, "a refused file")
    bring(page, "drop", "#field-images", ("a.png", "image/png", png()))
    expect(chosen(page)).to_have_count(1)
    expect(error).to_be_hidden()


def test_a_file_that_is_too_long_is_refused_before_it_is_sent(cast: Cast) -> None:
    page = member_at(cast, "too-long").page
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    # Made in the page, for the way there is long.
    page.evaluate("""() => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(21 * 1024 ** 2)], "huge.png", { type: "image/png" }));
      const drop = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data });
      document.querySelector("#field-images").dispatchEvent(drop);
    }""")
    expect(page.locator("#field-images-error")).to_have_text(
        "huge.png has 21 MB; at most 20 MB fit."
    )
    assert not [url for url in requests if url.endswith("/uploads")]


@pytest.mark.whole
def test_a_second_file_takes_the_place_of_a_single_one(cast: Cast) -> None:
    page = member_at(cast, "single", "/?operation=upscale").page
    for name, size in (("a.png", 40), ("b.png", 50)):
        bring(page, "drop", "#field-image", (name, "image/png", png(size, size)))
        expect(chosen(page, "image")).to_contain_text(f"{size} × {size}")
    expect(chosen(page, "image")).to_have_count(1)
    expect(recent(page, "image")).to_have_count(1)
    page.get_by_text("Choose one of yours").click()
    recent(page, "image").locator("input").click()
    expect(chosen(page, "image")).to_contain_text("40 × 40")
    expect(chosen(page, "image")).to_have_count(1)


def test_an_image_of_the_page_is_dragged_to_the_picker(cast: Cast) -> None:
    page = member_at(cast, "drag").page
    bring(page, "drop", "#field-images", ("a.png", "image/png", png(60, 40)))
    expect(chosen(page)).to_have_count(1)
    upload_id = chosen(page).get_attribute("data-source")
    page.goto(page.url.partition("/?")[0] + "/?operation=upscale")
    page.evaluate(
        """(id) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.setData("text/uri-list", `${location.origin}/media/${id}`);
          const picker = document.getElementById("field-image");
          // As if it was none of the newest ones.
          picker.querySelector("[data-sources-recent]").replaceChildren();
          const options = { bubbles: true, cancelable: true, dataTransfer };
          picker.dispatchEvent(new DragEvent("drop", options));
        }""",
        upload_id,
    )
    expect(chosen(page, "image")).to_contain_text("60 × 40")
    expect(chosen(page, "image").locator("input")).to_have_attribute("type", "radio")


@pytest.mark.whole
def test_a_voice_goes_to_the_picker_that_takes_it(cast: Cast) -> None:
    page = member_at(cast, "voice", "/?operation=lipsync").page
    bring(page, "drop", "body", ("voice.wav", "audio/wav", wav(2)))
    expect(chosen(page, "audio")).to_contain_text("0:02")
    expect(chosen(page, "image")).to_have_count(0)


def test_a_mask_is_painted_over_the_image(cast: Cast) -> None:
    page = member_at(cast, "mask", f"{EDIT}&model=gpt-image").page
    page.get_by_role("button", name="Paint a mask").click()
    expect(page.locator("#field-mask-error")).to_have_text("Choose an image first.")
    bring(page, "drop", "#field-images", ("a.png", "image/png", png(300, 200, color="navy")))
    expect(chosen(page)).to_have_count(1)
    page.get_by_role("button", name="Paint a mask").click()
    dialog = page.get_by_role("dialog", name="Paint what may change")
    done = dialog.get_by_role("button", name="Use this mask")
    expect(done).to_be_disabled()
    assert_sound(page, "the drawing")
    box = dialog.locator("canvas").bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 10, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, y, steps=5)
    page.mouse.up()
    # By keyboard a second stroke, which is taken back.
    dialog.locator("canvas").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    dialog.get_by_role("button", name="Undo").click()
    done.click()
    expect(dialog).to_have_count(0)
    expect(chosen(page, "mask")).to_contain_text("300 × 200")
    url = chosen(page, "mask").get_attribute("data-url")
    mask = Image.open(io.BytesIO(page.request.get(page.url.partition("/?")[0] + str(url)).body()))
    assert (mask.mode, mask.size) == ("RGBA", (300, 200))
    alpha = mask.getchannel("A")
    assert [alpha.getpixel(at) for at in ((75, 100), (150, 20), (280, 100), (150, 114))] == [
        *(0, 255, 255, 255)
    ]


def test_a_form_starts_from_a_file_without_a_script(cast: Cast) -> None:
    person = member_at(cast, "no-script", script=False)
    page = person.page
    page.get_by_label("What should change?").fill("at night")
    page.locator("#field-images-file").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": png(60, 40)}
    )
    page.get_by_role("button", name="Add", exact=True).first.click()
    expect(page.get_by_label("What should change?")).to_have_value("at night")
    expect(page.locator('input[name="images"]:checked')).to_have_count(1)
    expect(chosen(page)).to_contain_text("60 × 40")


@pytest.mark.whole
@in_looks(0)
def test_the_picker_is_sound_at_every_width(cast: Cast, width: int, dark: bool) -> None:
    page = member_at(cast, f"picker{width}{dark}".lower(), width=width, dark=dark, still=True).page
    bring(page, "drop", "#field-images", ("a.png", "image/png", png()))
    expect(chosen(page)).to_have_count(1)
    assert_sound(page, "the picker")
    page.goto(page.url.partition("/?")[0] + "/uploads")
    assert_sound(page, "the uploads")
