"""The first section of ``/api/docs``, word for word: a key, a quote, an image, a webhook."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.api_server import ApiServer
from tests.browser.conftest import free_port
from tests.pages import Element, parse_html
from tests.samples.conftest import MODULES, Programs, require

SECONDS_MAX = 40
LANGUAGES = ("curl", "python", "javascript")


class Reader:
    """A person who does what the page says, in a browser and a shell."""

    def __init__(self, server: ApiServer, browser: httpx2.Client, folder: Path) -> None:
        self.server, self.browser, self.folder = server, browser, folder
        self.page = parse_html(browser.get("/api/docs").text)

    def code(self, name: str) -> str:
        """Return a sample of the page."""
        return self.page.one(f"#start-{name}").raw

    def submit(self, path: str, form: str, **values: str | list[str]) -> Element:
        """Fill in a form of a page, send it, and return the page that follows."""
        fields = parse_html(self.browser.get(path).text).one(form).fields()
        answer = self.browser.post(path, data={**fields, **values})
        while answer.is_redirect:
            answer = self.browser.get(answer.headers["Location"])
        assert answer.is_success, answer.text
        return parse_html(answer.text)

    def programs(self, name: str, **environ: str) -> Programs:
        """Return a shell in which the exports of the first step were typed."""
        folder = self.folder / name
        folder.mkdir()
        exports = dict(re.findall(r'export (\w+)="(.*?)"', self.code("key")))
        return Programs(folder, **{**exports, **environ})


@pytest.fixture
def reader(server: ApiServer, tmp_path: Path) -> Iterator[Reader]:
    with_browser = server.sign_up()
    yield Reader(server, with_browser, tmp_path)
    with_browser.close()


def test_a_reader_gets_a_price_an_image_and_a_verified_webhook(reader: Reader) -> None:
    require("curl")
    require("node")
    # 1. Make a key, in the settings, with the scopes of the page.
    made = reader.submit(
        "/settings/api-keys",
        "form[action='/settings/api-keys']",
        name="Start",
        scopes=["read", "generate"],
        budget="10",
    )
    key = made.one("#new-key").raw
    assert key.startswith("cak_")
    assert reader.server.url in reader.code("key")
    # 2. Ask for a price. 3. Make an image: the same one in each language, paid once.
    for language in LANGUAGES:
        programs = reader.programs(language, CREDITAPP_API_KEY=key)
        quoted = programs.run(language, reader.code(f"quote-{language}"))
        assert quoted.returncode == 0, quoted.stderr
        assert "0.5" in quoted.stdout
        image = programs.run(language, reader.code(f"image-{language}"))
        assert image.returncode == 0, image.stdout + image.stderr
        assert (programs.folder / "image.png").read_bytes()[1:4] == b"PNG"
        if language != "curl":
            assert image.stdout == "0.5 credits used, 49.5 left\n"
    assert reader.server.balance(key) == 49.5


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_a_reader_receives_a_webhook_and_verifies_it(reader: Reader, language: str) -> None:
    require("node")
    if language == "javascript" and not MODULES.exists():
        pytest.importorskip("tests.interop.conftest")._install()
    headers = {"Origin": reader.server.url}
    body = {"name": "Start", "scopes": ["read", "generate"]}
    key = reader.browser.post("/api/keys", json=body, headers=headers).json()["key"]
    # The image of step 3 is made already, so the same request makes no other.
    first = reader.code("image-python")
    before = reader.programs("before", CREDITAPP_API_KEY=key).run("python", first)
    assert before.returncode == 0, before.stderr
    # 4. Add the address of the receiver, and start it with the secret.
    port = free_port()
    endpoint = {"url": f"http://127.0.0.1:{port}/", "events": ["generation.succeeded"]}
    created = reader.browser.post("/api/webhook-endpoints", json=endpoint, headers=headers)
    secret = created.json()["secret"]
    programs = reader.programs(language, CREDITAPP_API_KEY=key, WEBHOOK_SECRET=secret)
    assert "http://127.0.0.1:9000/" in reader.page.text
    receiver = reader.code(f"webhook-{language}").replace("9000", str(port))
    with _Started(programs, language, receiver, port) as process:
        wrong = httpx2.post(f"http://127.0.0.1:{port}/", json={"type": "x", "data": {"id": "x"}})
        assert wrong.status_code >= 400, "not signed"
        assert "second-image as its Idempotency-Key" in " ".join(reader.page.text.split())
        image = programs.run("python", first.replace("first-image", "second-image"))
        assert image.returncode == 0, image.stderr
        assert process.stdout is not None
        line = process.stdout.readline()
    made, _first = reader.server.call(key, "GET", "/api/generations")["items"]
    assert line == f"generation.succeeded {made['id']}\n"
    delivered = reader.browser.get(
        f"/api/webhook-endpoints/{created.json()['id']}/deliveries"
    ).json()["items"]
    assert json.dumps(delivered).count("generation.succeeded") == 1


class _Started:
    """A receiver that listens, until the block ends."""

    def __init__(self, programs: Programs, language: str, text: str, port: int) -> None:
        self.port = port
        self.process = subprocess.Popen(
            programs.command(language, text),
            cwd=programs.folder,
            env=programs.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> subprocess.Popen[str]:
        until = time.monotonic() + SECONDS_MAX
        while time.monotonic() < until:
            try:
                httpx2.post(f"http://127.0.0.1:{self.port}/", content=b"{}", timeout=2)
            except httpx2.ConnectError:
                time.sleep(0.1)
            except httpx2.HTTPError:
                return self.process
            else:
                return self.process
        raise AssertionError("the receiver does not listen")

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait(10)
