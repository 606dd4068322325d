"""Wrong orders: each is refused with its status, code, field and sentence, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from creditapp.catalog import Catalog
from creditapp.services import get
from tests.api.contract import Program
from tests.app_factory import Person
from tests.generation.orders import ORDERS
from tests.generation.studio import Scripted, Studio, wallet
from tests.generation.test_submit import selling

Sources = Callable[[Studio, Person], dict[str, Any]]

IMAGE_ID = "This is not the id of a file, such as upl_... or ast_...."
SIZES = "1:1 (1024x1024), 3:2 (1536x1024), 2:3 (1024x1536), 16:9 (1536x864)"
SHAPES = "16:9 (1280x720), 9:16 (720x1280), 1:1 (960x960)"
VOICES = "alloy, ash, coral, echo, sage, verse"
LONG = "x" * 100_000
TOO_LONG = "The description has 100,000 characters; 4,000 fit."

# Operation, the wrong members, the field that is named, and the sentence.
FIELDS: list[tuple[str, dict[str, Any], str, str]] = [
    ("video", {"seconds": 0}, "seconds", "Video is 1 to 10 s long."),
    ("video", {"seconds": -1}, "seconds", "Video is 1 to 10 s long."),
    ("video", {"seconds": 11}, "seconds", "Video is 1 to 10 s long."),
    ("video", {"seconds": 10**30}, "seconds", "Video is 1 to 10 s long."),
    ("video", {"seconds": "5"}, "seconds", "seconds is a whole number."),
    ("video", {"seconds": 5.5}, "seconds", "seconds is a whole number."),
    ("video", {"seconds": 5.0}, "seconds", "seconds is a whole number."),
    ("video", {"seconds": True}, "seconds", "seconds is a whole number."),
    ("video", {"seconds": None}, "seconds", "seconds is a whole number."),
    ("video", {"n": 2}, "n", "Video makes one at a time."),
    ("video", {"size": "7x7"}, "size", f"Video is made in these sizes: {SHAPES}."),
    ("video", {"model": "flux-dev"}, "model", "Video has no choice of models: leave it out."),
    ("video", {"prompt": " "}, "prompt", "Describe what happens in the video."),
    ("video", {"prompt": LONG}, "prompt", TOO_LONG),
    ("video", {"prompt": 7}, "prompt", "prompt is a text."),
    ("video", {"seed": 7}, "seed", "There is no field seed here."),
    ("video", {"images": "upl"}, "images", "images is a list."),
    ("video", {"images": [7]}, "images.0", "images.0 is a text."),
    ("audio", {"text": LONG}, "text", "The text has 100,000 characters; 4,000 fit."),
    ("audio", {"text": ""}, "text", "Write the text to speak."),
    ("audio", {"text": "a \x00 quay"}, "text", "The text holds control characters; remove them."),
    ("audio", {"voice": "x"}, "voice", f"There is no such voice; choose {VOICES}."),
    ("audio", {"voice": 7}, "voice", "voice is a text."),
    ("audio", {"format": "flac"}, "format", "Choose one of these formats: mp3, wav, ogg."),
    ("audio", {"n": 0}, "n", "Audio makes one at a time."),
    ("audio", {"n": "2"}, "n", "n is a whole number."),
    ("audio", {"style": "loud"}, "style", "There is no field style here."),
    ("text-to-image", {"prompt": LONG}, "prompt", TOO_LONG),
    ("text-to-image", {"n": 0}, "n", "At least 1 image."),
    ("text-to-image", {"n": 11}, "n", "Flux Dev makes 1 to 4 images at once."),
    ("text-to-image", {"n": "2"}, "n", "n is a whole number."),
    ("text-to-image", {"size": "7x7"}, "size", f"Flux Dev makes these sizes: {SIZES}."),
    (
        "text-to-image",
        {"model": "gpt-image", "quality": "best"},
        "quality",
        "Choose one of these qualities: low, medium, high.",
    ),
    ("text-to-image", {"style": "oil"}, "style", "Flux Dev has no styles."),
    (
        "text-to-image",
        {"negativePrompt": "fog"},
        "negativePrompt",
        "Flux Dev takes no negative prompt.",
    ),
    ("text-to-image", {"seed": 7}, "seed", "Flux Dev takes no seed."),
    ("text-to-image", {"seed": -1}, "seed", "seed is at least 0."),
    ("text-to-image", {"seed": 2**31}, "seed", "seed is at most 2147483647."),
    ("text-to-image", {"seed": "7"}, "seed", "seed is a whole number."),
    ("text-to-image", {"voices": "x"}, "voices", "There is no field voices here."),
    ("text-to-image", {"mask": "upl_" + "0" * 26}, "images", "images is missing."),
    ("image-to-image", {"images": ["upl_1"]}, "images.0", IMAGE_ID),
    ("image-to-image", {"images": ["gen_" + "0" * 26]}, "images.0", IMAGE_ID),
    ("image-to-image", {"images": ["https://example.com/a.png"]}, "images.0", IMAGE_ID),
    (
        "image-to-image",
        {"images": ["upl_" + "0" * 26] * 17},
        "images",
        "images has at most 16 items.",
    ),
    ("image-to-image", {"images": {"0": "upl"}}, "images", "images is a list."),
    ("image-to-image", {"mask": "../../etc/passwd"}, "mask", IMAGE_ID),
    ("image-to-image", {"style": "oil"}, "style", "Flux Dev has no styles."),
    ("upscale", {"image": "ast_1"}, "image", IMAGE_ID),
    ("upscale", {"image": 7}, "image", "image is a text."),
    ("upscale", {"n": 2}, "n", "Upscale makes one at a time."),
    ("upscale", {"model": "flux-dev"}, "model", "Upscale has no choice of models: leave it out."),
    ("upscale", {"factor": 8}, "factor", "There is no field factor here."),
    ("lipsync", {"audio": "voice"}, "audio", IMAGE_ID),
    ("lipsync", {"image": None}, "image", "image is a text."),
    ("lipsync", {"n": 2}, "n", "Lipsync makes one at a time."),
]

# Operation, what is brought to start from, the field that is named, and the sentence.
FILES: dict[str, tuple[str, Sources, str, str]] = {
    "too many images": (
        "image-to-image",
        lambda studio, person: {"images": [studio.bring(person) for _ in range(17)]},
        "images",
        "images has at most 16 items.",
    ),
    "more images than the model takes": (
        "image-to-image",
        lambda studio, person: {
            "images": [studio.bring(person) for _ in range(16)],
            "model": "lora-normal",
        },
        "images",
        "LORA Normal starts from one image.",
    ),
    "a sound to edit": (
        "image-to-image",
        lambda studio, person: {"images": [studio.bring(person, "audio/wav", milliseconds=9)]},
        "images",
        "Choose an image.",
    ),
    "a mask for a model that takes none": (
        "image-to-image",
        lambda studio, person: {"mask": studio.bring(person), "model": "lora-normal"},
        "mask",
        "LORA Normal takes no mask.",
    ),
    "a mask of another size": (
        "image-to-image",
        lambda studio, person: {"mask": studio.bring(person, size=(10, 9)), "model": "gpt-image"},
        "mask",
        "The mask has 10 x 9 pixels, the first image 640 x 480; they must be equal.",
    ),
    "a mask that is a photograph": (
        "image-to-image",
        lambda studio, person: {"mask": studio.bring(person, "image/jpeg"), "model": "gpt-image"},
        "mask",
        "The mask must be a PNG with transparent parts.",
    ),
    "a sound to enlarge": (
        "upscale",
        lambda studio, person: {"image": studio.bring(person, "audio/wav", milliseconds=9)},
        "image",
        "Choose an image.",
    ),
    "two images to enlarge": (
        "upscale",
        lambda studio, person: {"images": [studio.bring(person), studio.bring(person)]},
        "images",
        "Upscaling starts from one image.",
    ),
    "an image too large to enlarge": (
        "upscale",
        lambda studio, person: {"image": studio.bring(person, size=(9000, 9000))},
        "image",
        "This image is 9000 x 9000 already; 2 times larger is more than can be made.",
    ),
    "a video as the first frame": (
        "video",
        lambda studio, person: {"images": [studio.bring(person, "video/mp4", milliseconds=9)]},
        "images",
        "Choose an image.",
    ),
    "two first frames": (
        "video",
        lambda studio, person: {"images": [studio.bring(person), studio.bring(person)]},
        "images",
        "A video starts from one image.",
    ),
    "a sound as the face": (
        "lipsync",
        lambda studio, person: {"image": studio.bring(person, "audio/wav", milliseconds=9)},
        "image",
        "Choose an image or a video.",
    ),
    "an image as the voice": (
        "lipsync",
        lambda studio, person: {"audio": studio.bring(person)},
        "audio",
        "Choose a voice.",
    ),
    "a voice of unknown length": (
        "lipsync",
        lambda studio, person: {"audio": studio.bring(person, "audio/wav")},
        "audio",
        "The length of this voice is unknown; choose another.",
    ),
    "a voice that is too long": (
        "lipsync",
        lambda studio, person: {"audio": studio.bring(person, "audio/wav", milliseconds=120_001)},
        "audio",
        "Lipsync is 1 to 120 s long.",
    ),
}

# Operation, and the member that names one file to start from.
NAMED = [
    ("image-to-image", "images"),
    ("upscale", "image"),
    ("video", "images"),
    ("lipsync", "audio"),
]


@pytest.fixture(autouse=True)
def _plain_models(app: Flask) -> Iterator[None]:
    """Sell models that take nothing beyond a prompt, but GPT Image, which takes a mask."""
    with app.app_context():
        catalog = get(Catalog)
    plain = {"takes_mask": False, "takes_negative_prompt": False, "takes_seed": False, "styles": ()}
    models = [model.model_copy(update={**plain, "sources_max": 1}) for model in catalog.models]
    able = [
        model.model_copy(update={"takes_mask": True}) if model.id == "gpt-image" else model
        for model in models
    ]
    with selling(app, catalog.model_copy(update={"models": tuple(able)})):
        yield


@pytest.fixture(autouse=True)
def _no_trace(studio: Studio, api: Program, provider: Scripted) -> Any:
    """Assert that what a test sent was neither made nor held nor charged."""
    yield
    assert wallet(api.person) == (50, 0)
    assert studio.generations() == []
    assert not studio.queue.waiting or {name for name, _ in studio.queue.waiting} != {"generate"}
    assert provider.calls == 0
    studio.check()


@pytest.mark.parametrize(
    ("operation", "members", "field", "sentence"),
    FIELDS,
    ids=[f"{operation} {members!r}"[:50] for operation, members, *_ in FIELDS],
)
def test_a_wrong_member_is_named_with_what_would_be_right(
    api: Program, studio: Studio, operation: str, members: dict[str, Any], field: str, sentence: str
) -> None:
    order = ORDERS[operation]
    body = order.body(studio, api.person, **members)
    problem = api.refused(422, "validation_failed", "POST", order.path, body)
    assert problem["errors"] == [{"field": field, "message": sentence}]
    assert problem["detail"] == sentence
    by_chat = api.refused(
        422, "validation_failed", "POST", "/api/chat", {"type": operation, **body}
    )
    if "mask" not in members or operation == "image-to-image":
        assert by_chat["errors"] == problem["errors"]


@pytest.mark.parametrize(("operation", "sources", "field", "sentence"), FILES.values(), ids=FILES)
def test_a_wrong_file_is_named_with_what_would_be_right(
    api: Program, studio: Studio, operation: str, sources: Sources, field: str, sentence: str
) -> None:
    order = ORDERS[operation]
    wrong = sources(studio, api.person)
    body = order.body(studio, api.person, **wrong)
    if "images" in wrong:
        body.pop("image", None)
    problem = api.refused(422, "validation_failed", "POST", order.path, body)
    assert problem["errors"] == [{"field": field, "message": sentence}]


@pytest.mark.parametrize(("operation", "member"), NAMED)
def test_a_file_of_another_or_a_deleted_one_is_not_found(
    api: Program, charlie: Person, studio: Studio, operation: str, member: str
) -> None:
    order = ORDERS[operation]
    for file in (studio.bring(charlie), "upl_" + "0" * 26, "ast_" + "0" * 26):
        named: object = [file] if member == "images" else file
        body = order.body(studio, api.person, **{member: named})
        problem = api.refused(404, "not_found", "POST", order.path, body)
        assert problem["detail"] == f"You have no file {file}; it may have been deleted."


def test_an_upload_that_was_deleted_is_not_found(api: Program, studio: Studio) -> None:
    image = studio.bring(api.person)
    assert api.call("DELETE", f"/api/uploads/{image}").status_code == 204
    problem = api.refused(404, "not_found", "POST", "/api/upscale-image", {"image": image})
    assert problem["detail"] == f"You have no file {image}; it may have been deleted."


@pytest.mark.parametrize("operation", ["dance", "chat", "", None, 7, ["video"]])
def test_an_unknown_operation_names_those_there_are(api: Program, operation: object) -> None:
    body = {"type": operation, "prompt": "a quay"}
    problem = api.refused(422, "validation_failed", "POST", "/api/chat", body)
    assert problem["errors"] == [
        {"field": "type", "message": f"Send a type, which is one of {', '.join(ORDERS)}."}
    ]
