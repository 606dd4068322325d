"""Files in a bucket, as a browser loads them: through the redirect, and under the pages' policy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Cast, free_port, start_server, stop_server
from tests.browser.test_gallery import with_images
from tests.fakes.s3_server import FakeS3

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def bucket() -> Iterator[FakeS3]:
    """The bucket of the server."""
    with FakeS3() as s3:
        yield s3


@pytest.fixture(scope="module")
def server(bucket: FakeS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo whose files are in the bucket."""
    port = free_port()
    process = start_server(tmp_path_factory.mktemp("demo"), port, bucket.environ)
    yield f"http://127.0.0.1:{port}"
    stop_server(process)


@pytest.mark.whole
def test_images_are_shown_and_downloaded_and_a_video_plays(cast: Cast, bucket: FakeS3) -> None:
    person = with_images(cast, "bucket", 2)
    page = person.page
    # A broken image has no width; one that the policy blocks is a complaint too.
    page.wait_for_function(
        "[...document.querySelectorAll('.image-card img')].every((image) => image.naturalWidth > 0)"
    )
    page.locator(".image-card-frame").first.click()
    expect(page.locator("#viewer")).to_be_visible()
    with page.expect_download() as download:
        page.locator("#viewer a[href$='download=1']").first.click()
    assert re.fullmatch(r"a-harbour-at-dusk-\d\.png", download.value.suggested_filename)
    assert download.value.path().read_bytes() in [each.data for each in bucket.objects.values()]

    page = person.open("/?operation=video&prompt=waves&seconds=5")
    page.locator("#generate").click()
    page.wait_for_load_state()
    video = page.locator("figure video").first
    expect(video).to_be_attached()
    assert video.evaluate(
        "video => video.play().then(() => video.duration > 4 && video.videoWidth > 0)"
    )
    assert bucket.refusals == []
