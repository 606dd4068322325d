"""Every operation on the offline provider, each from what the one before delivered."""

from __future__ import annotations

import io

import av
import pytest
from PIL import Image

from creditapp.generation.models import Asset
from creditapp.generation.providers import OfflineProvider
from creditapp.media import Media
from creditapp.services import get
from tests.app_factory import Person
from tests.generation.studio import Studio


@pytest.fixture
def provider() -> OfflineProvider:
    return OfflineProvider()


def delivered(studio: Studio, person: Person, path: str, **body: object) -> tuple[Asset, bytes]:
    """Order, run the queue, and return the asset with its file."""
    generation_id = studio.order(person, path, body)
    studio.queue.run()
    generation = studio.generation(generation_id)
    assert (generation.state, generation.preview) == ("succeeded", True)
    assert generation.charged_micro == generation.quoted_micro
    [asset] = [each for each in studio.assets() if each.generation_id == generation_id]
    with studio.app.app_context(), get(Media).open(asset.media_key) as file:
        return asset, file.read()


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def test_an_image_is_edited_enlarged_and_filmed(studio: Studio, alice: Person) -> None:
    image, data = delivered(
        studio, alice, "/api/generate-image", prompt="a fox", model="flux-dev", size="1:1"
    )
    assert size_of(data) == (image.width, image.height) == (1024, 1024)
    edit, data = delivered(
        studio,
        alice,
        "/api/generate-image",
        prompt="in the snow",
        model="flux-dev",
        images=[image.id],
        size="1:1",
    )
    assert size_of(data) == (edit.width, edit.height)
    large, data = delivered(studio, alice, "/api/upscale-image", image=edit.id)
    assert size_of(data) == (large.width, large.height) == (2048, 2048)
    video, data = delivered(
        studio, alice, "/api/generate-video", prompt="wind", seconds=1, images=[edit.id]
    )
    assert (video.mime_type, video.milliseconds) == ("video/mp4", 1000)
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    studio.check()


def test_a_face_speaks_with_a_voice(studio: Studio, charlie: Person) -> None:
    face, _ = delivered(
        studio, charlie, "/api/generate-image", prompt="a portrait", model="nano-banana"
    )
    voice, _ = delivered(studio, charlie, "/api/generate-audio", text="Good morning, all of you.")
    assert (voice.mime_type, voice.milliseconds) == ("audio/mpeg", 1667)
    video, data = delivered(studio, charlie, "/api/generate-lipsync", image=face.id, audio=voice.id)
    assert video.mime_type == "video/mp4"
    assert video.milliseconds == pytest.approx(1667, abs=2)
    with av.open(io.BytesIO(data)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    studio.check()
