"""The fal adapter against the strict fake, over real HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from creditapp.catalog import Catalog, Model, Operation, load_catalog
from creditapp.generation.providers import (
    ImageRequest,
    LipsyncRequest,
    Providers,
    Request,
    SourceFile,
    UpscaleRequest,
    VideoRequest,
    Work,
    fal,
    fal_files,
)
from creditapp.generation.providers.fal import FalProvider
from tests.fakes import media_files
from tests.fakes.fal_server import FakeFal
from tests.generation.providers.conftest import Outcome, generate

PROMPT = "A confidential lighthouse, at dusk 灯台"
REQUEST = ImageRequest(prompt=PROMPT, provider_model="fal-ai/flux/dev", width=96, height=64)
SOURCE = SourceFile(media_files.png("a source", 8, 8), "image/png")
VOICE = SourceFile(media_files.wav(2500), "audio/wav")
FILM = SourceFile(media_files.mp4(1), "video/mp4")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fal, "POLL_SECONDS_FIRST", 0.01)
    monkeypatch.setattr(fal, "POLL_SECONDS_MAX", 0.01)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeFal]:
    with FakeFal() as fake:
        yield fake


@pytest.fixture
def fake(server: FakeFal) -> FakeFal:
    server.forget()
    return server


def provider_for(fake: FakeFal, timeout_seconds: float = 5.0) -> FalProvider:
    return FalProvider(api_key=fake.key, base_url=fake.base_url, timeout_seconds=timeout_seconds)


def run(provider: FalProvider, request: Request, work: Work) -> Outcome:
    outcome = Outcome()
    outcome.images += provider.make(request, work)
    return outcome


def stages(fake: FakeFal) -> list[str]:
    return [fake.stage(call) for call in fake.calls]


def served(fake: FakeFal, entry: Model | Operation | None, request: Request) -> Outcome:
    """Run a request by the catalog's entry."""
    assert entry is not None
    values = {"FAL_KEY": fake.key, "FAL_BASE_URL": fake.base_url}
    return generate(Providers(values, offline=None).require(entry), request)


@pytest.fixture(scope="module")
def studio() -> Catalog:
    return load_catalog("studio")


def test_a_job_is_submitted_noted_polled_and_its_file_fetched(fake: FakeFal) -> None:
    fake.polls = 3
    noted: list[str] = []
    work = Work(note_job=lambda job: noted.append(f"{job} after {len(fake.calls)} calls"))
    [image] = run(provider_for(fake), REQUEST, work).images
    assert image.data == media_files.png(PROMPT, 96, 64), "the vendor's bytes"
    assert (image.mime_type, image.width, image.height) == ("image/png", 96, 64)
    [job] = fake.jobs
    assert noted == [f"{job} after 1 calls"]
    assert stages(fake) == ["paid", "status", "status", "status", "result", "file"]
    assert fake.calls[0].path == "/fal-ai/flux/dev"
    assert fake.calls[1].path == f"/fal-ai/flux/requests/{job}/status"


def test_a_noted_job_is_polled_and_not_submitted_again(fake: FakeFal) -> None:
    noted: list[str] = []
    run(provider_for(fake), REQUEST, Work(note_job=noted.append))
    fake.calls.clear()
    again = run(provider_for(fake), REQUEST, Work(job=noted[0], note_job=noted.append))
    assert len(again.images) == 1
    assert fake.count == 0
    assert len(noted) == 1


def test_a_job_that_the_vendor_forgot_ends_at_once(fake: FakeFal) -> None:
    with pytest.raises(fal.GenerationFailed, match="no longer has this order"):
        run(provider_for(fake), REQUEST, Work(job="job-of-before"))


def test_several_images_are_one_job(fake: FakeFal) -> None:
    outcome = generate(provider_for(fake), replace(REQUEST, n=3, one_call_each=True))
    assert len(outcome.images) == 3
    assert fake.count == 1
    assert fake.calls[0].body["num_images"] == 3
    assert outcome.progress == [0.0, 1 / 3, 2 / 3, 1.0]


def test_an_owner_who_cancels_ends_the_job_at_the_vendor(fake: FakeFal) -> None:
    fake.polls = 99
    asked = iter([False, False, True])
    work = Work(should_stop=lambda: next(asked), is_canceled=lambda: True)
    assert run(provider_for(fake), REQUEST, work).images == []
    assert [job.canceled for job in fake.jobs.values()] == [True]


def test_a_worker_that_was_replaced_leaves_the_job_to_the_other_one(fake: FakeFal) -> None:
    fake.polls = 99
    asked = iter([False, True])
    work = Work(should_stop=lambda: next(asked), is_canceled=lambda: False)
    assert run(provider_for(fake), REQUEST, work).images == []
    assert [job.canceled for job in fake.jobs.values()] == [False]


def test_a_job_that_could_not_be_noted_is_canceled(fake: FakeFal) -> None:
    fake.polls = 99

    def note(_job: str) -> None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        run(provider_for(fake), REQUEST, Work(note_job=note))
    assert [job.canceled for job in fake.jobs.values()] == [True]


def test_a_job_that_takes_too_long_is_canceled(
    fake: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal, "JOB_SECONDS_MAX", 0.1)
    fake.polls = 10_000
    error = generate(provider_for(fake), REQUEST).error
    assert error is not None
    assert error.code == "generation_timeout"
    assert [job.canceled for job in fake.jobs.values()] == [True]


@pytest.mark.parametrize(
    ("stage", "fault"),
    [
        (stage, fault)
        for stage in ("status", "result", "file")
        for fault in ("http_500", "http_429", "reset", "cut_off", "html", "empty")
        # A file of other bytes is final.
        if stage != "file" or fault not in ("html", "empty")
    ],
)
def test_what_breaks_after_the_submit_is_asked_for_again_and_nothing_is_lost(
    fake: FakeFal, stage: str, fault: str
) -> None:
    fake.fail(fault, at=stage, times=2)
    outcome = generate(provider_for(fake), REQUEST)
    assert outcome.error is None
    assert len(outcome.images) == 1
    assert fake.count == 1


@pytest.mark.parametrize("stage", ["status", "result", "file"])
def test_a_vendor_that_stays_broken_is_given_up(fake: FakeFal, stage: str) -> None:
    fake.fail("http_500", at=stage, times=50)
    error = generate(provider_for(fake), REQUEST).error
    assert error is not None
    assert error.may_have_charged
    assert fake.count == 1
    assert stages(fake).count(stage) <= 6


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/private.png",
        "https://fal.media.evil.example/x.png",
        "https://evilfal.media/x.png",
        "http://v3.fal.media/x.png",
        "https://v3.fal.media:8443/x.png",
        "https://user@v3.fal.media/x.png",
        "file:///etc/passwd",
        "//v3.fal.media/x.png",
        "https://[::1",
    ],
)
def test_a_file_is_fetched_from_the_vendors_hosts_alone(fake: FakeFal, address: str) -> None:
    fake.foreign_address = address
    fake.fail("foreign_address")
    outcome = generate(provider_for(fake), REQUEST)
    assert outcome.images == []
    assert outcome.error is not None
    assert outcome.error.reason == "foreign_address"
    assert "file" not in stages(fake)


def test_the_vendors_media_hosts_are_allowed() -> None:
    for host in ("fal.media", "v3.fal.media", "V3B.FAL.MEDIA"):
        assert fal_files._is_allowed(f"https://{host}/files/a/b.png", fal.FAL_BASE_URL)


def test_a_redirect_of_a_file_is_not_followed(fake: FakeFal) -> None:
    fake.fail("redirect", at="file")
    outcome = generate(provider_for(fake), REQUEST)
    assert outcome.error is not None
    assert stages(fake).count("file") == 1


def test_a_blackened_image_is_a_refused_prompt(fake: FakeFal) -> None:
    fake.fail("nsfw")
    error = generate(provider_for(fake), REQUEST).error
    assert error is not None
    assert (error.code, error.may_have_charged) == ("prompt_rejected", True)


@pytest.mark.parametrize("fault", ["http_401", "http_402", "http_500", "refused", "reset"])
def test_no_log_holds_the_key_the_prompt_or_the_vendors_text(
    fake: FakeFal, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.fail(fault)
    with capture_logs() as entries:
        error = generate(provider_for(fake), REQUEST).error
    assert error is not None
    texts = f"{error!r} {vars(error)} {error.__cause__} {error.__context__} {entries} {caplog.text}"
    for secret in (fake.key, "confidential", "flagged by", "Failed. Request"):
        assert secret not in texts
    assert error.reason in str(entries)


def test_images_and_edits_of_the_catalog_are_served(fake: FakeFal, studio: Catalog) -> None:
    for model_id in ("flux-dev", "lora-normal", "lora-context"):
        model = studio.model(model_id)
        assert served(fake, model, replace(REQUEST, n=2)).error is None
        assert served(fake, model, replace(REQUEST, images=(SOURCE,))).error is None
        made, edited = [call for call in fake.calls if fake.is_paid(call)][-2:]
        assert made.body["image_size"] == {"width": 96, "height": 64}
        assert edited.path != made.path
        assert edited.body["image_url"].startswith("data:image/png;base64,")


def test_an_upscale_is_served(fake: FakeFal, studio: Catalog) -> None:
    request = UpscaleRequest(image=SOURCE, width=16, height=16)
    outcome = served(fake, studio.operation("upscale"), request)
    assert outcome.error is None
    assert (outcome.images[0].width, outcome.images[0].height) == (128, 96)
    assert fake.calls[0].body["upscale_factor"] == 2


@pytest.mark.parametrize(
    ("ordered", "image", "length"), [(3, None, 5), (5, SOURCE, 5), (6, None, 10), (10, SOURCE, 10)]
)
def test_a_video_is_served_in_the_next_length_up(
    fake: FakeFal, studio: Catalog, ordered: int, image: SourceFile | None, length: int
) -> None:
    request = VideoRequest(prompt="waves", seconds=ordered, width=1280, height=720, image=image)
    outcome = served(fake, studio.operation("video"), request)
    assert outcome.error is None
    [video] = outcome.images
    assert (video.mime_type, video.milliseconds) == ("video/mp4", length * 1000)
    assert fake.calls[0].body.get("aspect_ratio") == (None if image else "16:9")


@pytest.mark.parametrize("face", [SOURCE, FILM])
def test_a_lipsync_is_served_from_an_image_and_from_a_video(
    fake: FakeFal, studio: Catalog, face: SourceFile
) -> None:
    outcome = served(
        fake, studio.operation("lipsync"), LipsyncRequest(face=face, voice=VOICE, seconds=3)
    )
    assert outcome.error is None
    assert outcome.images[0].milliseconds == 3000
    model = "veed/fabric-1.0" if face is SOURCE else "creatify/lipsync"
    assert fake.calls[0].path == f"/{model}"


def test_a_lora_of_the_entry_becomes_the_vendors_list(fake: FakeFal) -> None:
    request = replace(REQUEST, provider_model="fal-ai/flux-lora", parameters={"lora": "owner/name"})
    assert generate(provider_for(fake), request).error is None
    assert fake.calls[0].body["loras"] == [{"path": "owner/name", "scale": 1}]
