"""The form of each operation, without JavaScript: its price, what is charged, what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from creditapp.catalog import Catalog, load_catalog
from creditapp.db import reading, transaction
from creditapp.generation.models import Generation, Upload
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.providers import Providers
from creditapp.http.sessions import find_member
from creditapp.media import Media
from creditapp.services import get, provide
from creditapp.web.view_models.images import again_url
from tests.app_factory import Person, Queue, get_clock
from tests.generation.studio import Scripted
from tests.pages import parse_html
from tests.web.steps import HTMX

CREDIT = 1_000_000
NONCE = "a-nonce-of-a-test"


@pytest.fixture
def app(app: Flask) -> Iterator[Flask]:
    """The app with a provider that delivers every operation at once."""
    with app.app_context():
        genuine = get(Providers)
    provider = Scripted()
    provider.milliseconds = 4_000
    provide(app, Providers, Providers({}, offline=provider))
    yield app
    provide(app, Providers, genuine)


@pytest.fixture
def files(app: Flask, alice: Person) -> dict[str, str]:
    """Files of Alice, by what they are: a face, a second image, a mask, 32 s and 200 s of voice."""
    return {
        "face": upload(app, alice, "image/png", width=1024, height=1024),
        "scene": upload(app, alice, "image/jpeg", width=800, height=600),
        "mask": upload(app, alice, "image/png", width=1024, height=1024),
        "poster": upload(app, alice, "image/png", width=6000, height=4000),
        "voice": upload(app, alice, "audio/mpeg", milliseconds=31_200),
        "speech": upload(app, alice, "audio/mpeg", milliseconds=200_000),
    }


def upload(app: Flask, person: Person, mime_type: str, **facts: int) -> str:
    with person.browser.session_transaction() as session:
        session_id = session["_user_id"]
    upload.number += 1  # type: ignore[attr-defined]
    row_id = f"upl_{upload.number:026d}"  # type: ignore[attr-defined]
    with app.app_context():
        key = get(Media).store(b"a file of a test", mime_type)
        with transaction() as database:
            member = find_member(database, session_id)
            assert member is not None
            database.add(
                Upload(
                    id=row_id,
                    owner_kind="user",
                    owner_id=member.id,
                    media_key=key,
                    mime_type=mime_type,
                    bytes=16,
                    used_at=get_clock().now(),
                    created_at=get_clock().now(),
                    **facts,
                )
            )
    return row_id


upload.number = 0  # type: ignore[attr-defined]


def fill(text: str | list[str], files: dict[str, str]) -> str | list[str]:
    """Replace the names of files by their ids."""
    if isinstance(text, list):
        return [files.get(each, each) for each in text]
    return files.get(text, text)


PRICES = [
    ("text-to-image", {"model": "nano-banana", "prompt": "a fox", "n": "3"}, 1.5),
    ("text-to-image", {"model": "gpt-image", "prompt": "a fox", "quality": "low", "n": "2"}, 2),
    ("image-to-image", {"model": "flux-dev", "prompt": "at night", "images": ["face"]}, 1),
    (
        "image-to-image",
        {"model": "gpt-image", "prompt": "at night", "images": ["face", "scene"], "mask": "mask"},
        2,
    ),
    ("upscale", {"image": "face"}, 5),
    ("video", {"prompt": "waves", "seconds": "5"}, 25),
    ("video", {"prompt": "waves", "seconds": "10", "images": ["scene"], "size": "720x1280"}, 50),
    ("audio", {"prompt": "word " * 60, "voice": "coral", "format": "wav"}, 2),  # 300 characters
    ("lipsync", {"image": "face", "audio": "voice"}, 80),
]


@pytest.mark.parametrize(("operation", "fields", "price"), PRICES)
def test_the_price_follows_the_form_and_is_what_is_held(
    app: Flask,
    alice: Person,
    files: dict[str, str],
    operation: str,
    fields: dict[str, str | list[str]],
    price: float,
) -> None:
    rich(app, alice)
    sent = {"operation": operation, **{name: fill(each, files) for name, each in fields.items()}}
    before = alice.balance()
    shown = parse_html(alice.post("/studio/price", sent, headers=HTMX).text)
    assert int(shown.value("shown_micro")) == price * CREDIT
    answer = alice.post(
        "/generations", {**sent, "shown_micro": shown.value("shown_micro"), "nonce": NONCE}
    )
    assert answer.status_code == 303, parse_html(answer.text).texts(".problem, .field-error")
    assert alice.balance() == before - price
    generation = newest(app)
    assert (generation.operation, generation.quoted_micro) == (operation, price * CREDIT)


# Where 4 s come and more was estimated, what came is charged: the quote is the most.
CHARGES = [1.5, 2, 1, 2, 5, 25, 25, 1, 20]


@pytest.mark.parametrize(
    ("operation", "fields", "charged"),
    [(*ordered[:2], charge) for ordered, charge in zip(PRICES, CHARGES, strict=True)],
)
def test_what_is_charged_is_the_price_or_less(
    app: Flask,
    alice: Person,
    queue: Queue,
    files: dict[str, str],
    operation: str,
    fields: dict[str, str | list[str]],
    charged: float,
) -> None:
    rich(app, alice)
    before = alice.balance()
    sent = {name: fill(each, files) for name, each in fields.items()}
    alice.post("/generations", {"operation": operation, **sent, "nonce": NONCE})
    queue.run()
    generation = newest(app)
    assert (generation.state, generation.charged_micro) == ("succeeded", charged * CREDIT)
    assert alice.balance() == before - charged


@pytest.mark.parametrize(("operation", "fields", "price"), PRICES)
def test_use_again_fills_in_the_same_form(
    app: Flask,
    alice: Person,
    queue: Queue,
    files: dict[str, str],
    operation: str,
    fields: dict[str, str | list[str]],
    price: float,
) -> None:
    rich(app, alice)
    sent = {name: fill(each, files) for name, each in fields.items()}
    alice.post("/generations", {"operation": operation, **sent, "nonce": NONCE})
    queue.run()
    form = alice.page(again_url(newest(app))).one("#studio-form")
    assert form.value("operation") == operation
    assert int(form.value("shown_micro")) == price * CREDIT
    for name, each in sent.items():
        if isinstance(each, list):
            chosen = [box["value"] for box in form.all(f"input[name={name}][checked]")]
            assert chosen == each
        else:
            assert form.value(name) == each.strip()


REFUSED = [
    ("text-to-image", {"prompt": ""}, "prompt", "Describe"),
    ("text-to-image", {"prompt": "x" * 4001}, "prompt", "4,000 fit"),
    (
        "text-to-image",
        {"prompt": "a", "model": "flux-dev", "seed": "seven"},
        "seed",
        "a whole number",
    ),
    ("image-to-image", {"prompt": "a", "model": "flux-dev"}, "images", ""),
    (
        "image-to-image",
        {"prompt": "a", "model": "flux-dev", "images": ["face", "scene"]},
        "images",
        "Flux Dev starts from one image.",
    ),
    (
        "image-to-image",
        {"prompt": "a", "model": "gpt-image", "images": ["scene"], "mask": "mask"},
        "mask",
        "they must be equal",
    ),
    (
        "image-to-image",
        {"prompt": "a", "model": "gpt-image", "images": ["voice"]},
        "images",
        "Choose an image",
    ),
    ("upscale", {}, "image", ""),
    ("upscale", {"image": "poster"}, "image", "6000 x 4000"),
    ("video", {"prompt": ""}, "prompt", "Describe"),
    ("video", {"prompt": "a", "seconds": "11"}, "seconds", "1 to 10 s"),
    ("video", {"prompt": "a", "seconds": "0"}, "seconds", "1 to 10 s"),
    ("audio", {"prompt": ""}, "prompt", "Write the text to speak"),
    ("lipsync", {"image": "face", "audio": "speech"}, "audio", "1 to 120 s"),
    ("lipsync", {"image": "face"}, "audio", ""),
]


@pytest.mark.parametrize(("operation", "fields", "field", "words"), REFUSED)
def test_a_refusal_is_at_its_field_and_costs_nothing(
    app: Flask,
    alice: Person,
    files: dict[str, str],
    operation: str,
    fields: dict[str, str | list[str]],
    field: str,
    words: str,
) -> None:
    rich(app, alice)
    before = alice.balance()
    sent = {name: fill(each, files) for name, each in fields.items()}
    answer = alice.post("/generations", {"operation": operation, **sent, "nonce": NONCE})
    assert answer.status_code == 422
    page = parse_html(answer.text)
    assert words in page.one(f"#field-{field}-error").text
    assert not page.has("#problem .problem")
    assert alice.balance() == before
    if "prompt" in fields:
        assert page.one("#field-prompt").text == str(fields["prompt"])


def test_a_voice_that_there_is_not_is_told_in_the_panel(alice: Person) -> None:
    sent = {"operation": "audio", "prompt": "hello", "voice": "nobody", "nonce": NONCE}
    page = parse_html(alice.post("/generations", sent).text)
    assert "There is no such voice" in page.one("#problem").text
    assert alice.balance() == 50


def test_somebody_elses_file_is_not_found(app: Flask, alice: Person, files: dict[str, str]) -> None:
    bob = Person(app).sign_up("bob@example.com")
    sent = {"operation": "upscale", "image": files["face"], "nonce": NONCE}
    answer = bob.post("/generations", sent)
    assert answer.status_code == 404
    assert f"You have no file {files['face']}" in parse_html(answer.text).one("#problem").text
    assert (
        files["face"]
        not in bob.page(f"/?operation=upscale&image={files['face']}").one("#settings").text
    )
    assert bob.balance() == 50


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_guest_sees_every_operation_and_signs_up_for_more(guest: Person, operation: str) -> None:
    page = guest.page(f"/?operation={operation}")
    assert [tab["id"] for tab in page.all(".operation-tab")] == [
        f"tab-{name}" for name in OPERATIONS
    ]
    assert page.one(".operation-tab[aria-current]")["id"] == f"tab-{operation}"
    if operation == "text-to-image":
        assert page.has("#generate")
        return
    panel = page.one("#price-panel")
    assert "Sign up to use more than text to image." in panel.text
    assert not page.has("#generate")
    assert panel.one("a.button-main")["href"].endswith(f"operation%3D{operation}")


def test_only_what_the_catalog_offers_is_a_tab(app: Flask, alice: Person) -> None:
    with app.app_context():
        catalog = get(Catalog)
    few = catalog.model_copy(update={"media": catalog.media.model_copy(update={"video": None})})
    few.__dict__.pop("operations", None)  # the copy took what the original had computed
    provide(app, Catalog, few)
    try:
        page = alice.page("/?operation=video")
        assert "tab-video" not in [tab["id"] for tab in page.all(".operation-tab")]
        assert page.one(".operation-tab[aria-current]")["id"] == "tab-text-to-image"
    finally:
        provide(app, Catalog, catalog)


def test_the_model_is_one_row_and_its_list_says_what_each_can_do(alice: Person) -> None:
    page = alice.page("/?model=gpt-image")
    assert page.one("#model-chosen").text.startswith(
        "GPT Image Text in images, edits, medium quality"
    )
    rows = {row.one(".model-name strong").text: row.text for row in page.all("#model-list .row")}
    assert len(rows) == len(load_catalog("studio").models)
    assert "Edits up to 16 images, masks, text in images" in rows["GPT Image"]
    # The tier is said once.
    assert "Nano Banana Budget" not in rows["Nano Banana"]
    assert "Artistic detail" in rows["LORA Normal"]
    assert "Standard" in rows["LORA Normal"]


def test_more_settings_are_those_of_the_model(alice: Person) -> None:
    assert alice.page("/?model=flux-dev").has("#field-seed")
    assert not alice.page("/?model=gpt-image").has("#field-seed")
    assert not alice.page("/?operation=upscale").has("#more-settings")


def test_several_models_have_one_price_and_are_made_together(
    app: Flask, alice: Person, queue: Queue
) -> None:
    sent = {
        "operation": "text-to-image",
        "compare": "1",
        "models": ["flux-dev", "nano-banana-pro", "gpt-image"],
        "prompt": "a quay",
        "n": "2",
        "size": "3:2",
        "seed": "7",
    }
    shown = parse_html(alice.post("/studio/price", sent, headers=HTMX).text)
    assert shown.value("shown_micro") == "10000000"
    assert "3 models together" in shown.one("#price-panel").text
    assert len(shown.all(".slip-part")) == 3
    answer = alice.post(
        "/generations", {**sent, "shown_micro": "10000000", "nonce": NONCE}, headers=HTMX
    )
    assert answer.status_code == 202
    assert len(parse_html(answer.text).all("article.job-card")) == 3
    assert alice.balance() == 40
    queue.run()
    with app.app_context():
        rows = list(reading().scalars(select(Generation).order_by(Generation.id)))
    assert [(row.model, row.size, row.n) for row in rows] == [
        ("flux-dev", "1536x1024", 2),
        ("nano-banana-pro", "1536x1024", 2),
        ("gpt-image", "1536x1024", 2),
    ]
    # What one of them does not take is left out of its order alone.
    assert rows[0].seed == 7
    assert len({row.batch_id for row in rows}) == 1


def test_too_many_models_and_too_few_credits_are_refused_whole(alice: Person) -> None:
    models = ["nano-banana", "flux-dev", "lora-normal", "lora-context", "gemini-flash"]
    sent = {"operation": "text-to-image", "compare": "1", "prompt": "a quay", "nonce": NONCE}
    answer = alice.post("/generations", {**sent, "models": models})
    assert answer.status_code == 422
    assert "at most 4 models" in answer.text
    dear = {**sent, "models": ["gpt-image", "nano-banana-pro"], "quality": "high", "n": "4"}
    assert "10 credits" not in alice.post("/studio", dear).text
    spent = alice.post("/generations", {**dear, "n": "4"})
    assert spent.status_code == 303
    assert alice.balance() == 10
    refused = alice.post("/generations", {**dear, "nonce": "another-nonce"})
    assert refused.status_code == 402
    assert alice.balance() == 10


def test_a_guest_is_not_offered_to_compare(guest: Person) -> None:
    assert not guest.page("/").has("#compare")
    page = guest.page("/?compare=1&models=flux-dev&models=gpt-image")
    assert [each["type"] for each in page.all("#model-list input")] == ["radio"] * 7


def newest(app: Flask) -> Generation:
    with app.app_context():
        row = reading().scalars(select(Generation).order_by(Generation.id.desc())).first()
    assert row is not None
    return row


def rich(app: Flask, person: Person) -> None:
    """Give credits for the dearest operation."""
    from tests.web.test_dashboard import give

    give(app, person.email, 100, source="admin", note="for a test")
