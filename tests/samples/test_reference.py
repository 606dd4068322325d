"""Every sample of ``/api/docs`` runs as the page shows it, but for the ids of its examples."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from PIL import Image

from creditapp.web.view_models.api_samples import IDEMPOTENCY_KEY
from tests.api_server import ApiServer
from tests.pages import Element, parse_html
from tests.samples.conftest import ADMIN_KEY, Programs, require

NOT_RUN = {
    "POST /api/ack/receipts": "needs a signed payment of another service (docs/agents.md)",
    "POST /api/agents/sandbox-payments": "needs a payment request (docs/agents.md)",
    "POST /api/images/generate": "needs a receipt (docs/agents.md)",
    "GET /api/receipts/balance": "needs a receipt (docs/agents.md)",
    "POST /api/receipts/redeem": "needs a receipt (docs/agents.md)",
    "POST /api/receipts/refund": "needs a receipt (docs/agents.md)",
    "GET /api/payment-requests/{request_id}": "needs a payment request (docs/agents.md)",
    "POST /api/payment-requests/{request_id}/checkout": "needs a payment request (docs/agents.md)",
    "PUT /api/billing/auto-topup": "names the catalog that the member saw",
}
"""Calls whose samples cannot run by themselves, and why."""

OTHER_STATUSES = {
    "GET /.well-known/payment": {200, 404},
    "POST /api/images/buy": {402},  # the price, to be paid
    "GET /api/billing/portal-link": {200, 303},  # fetch follows it
    "GET /metrics": {200, 404},
    "POST /api/usage/{usage_id}/stop": {409},  # that of the example has ended
}
"""Statuses that are right where they are not from 200 to 299."""

CHANGES = re.compile(r"^(DELETE|PATCH) |/(capture|release|test|redeliver)$")
"""A call of which each sample needs an object of its own; the others share one."""

BROWSER_ALONE = re.compile(r"fetch\(`/")
"""A sample for a page of the site: it has no address of its own, so that Node cannot run it."""


class Site:
    """The server with what the samples' ids stand for."""

    def __init__(self, server: ApiServer, browser: httpx2.Client, folder: Path) -> None:
        self.server, self.browser = server, browser
        database = server.folder / "creditapp.sqlite"
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            (self.user_id,) = connection.execute("SELECT id FROM users").fetchone()
        grant = {"userId": self.user_id, "amount": 5000, "reason": "promotional"}
        self._post("/api/credits/grant", {**grant, "idempotencyKey": "samples"})
        body = {"name": "Samples", "scopes": ["read", "generate", "spend", "purchase"]}
        self.key = self._post("/api/keys", body)["key"]
        self.headers = {"Authorization": f"Bearer {self.key}"}
        photo = BytesIO()
        Image.effect_noise((64, 64), 20).save(photo, "PNG")
        self.photo = photo.getvalue()
        (folder / "photo.png").write_bytes(self.photo)
        cookies = "\n".join(
            f"127.0.0.1\tFALSE\t/\tFALSE\t0\t{each.name}\t{each.value}"
            for each in browser.cookies.jar
        )
        (folder / "cookies.txt").write_text(f"# Netscape HTTP Cookie File\n{cookies}\n")
        self.ids = dict[str, str]()
        self.makers: dict[str, Callable[[], str]] = {
            "gen": lambda: self._made("/api/generate-nano-banana", {"prompt": "a quay"}),
            "upl": lambda: self._upload(self.photo, "image/png"),
            "use": lambda: self._made("/api/embeddings", {"input": "Harbour"}),
            "key": lambda: str(self._post("/api/keys", {"name": "x", "scopes": ["read"]})["id"]),
            "whe": self._endpoint,
            "hold": self._hold,
            "usr": lambda: str(self.user_id),
        }

    def with_real_ids(self, name: str, text: str) -> str:
        """Return a sample with ids of objects that exist in place of its examples, and its own key.

        An idempotency key belongs to one order, which the other ids make another one.
        """
        text = text.replace(IDEMPOTENCY_KEY, f"order-{uuid4()}")
        if "msg_01M8" in text:
            endpoint = self._id("whe", name)
            sent = self._post(f"/api/webhook-endpoints/{endpoint}/test", {})["id"]
            text = re.sub(r"msg_01M8\w+", sent, text)
            return re.sub(r"whe_01m8\w+", endpoint, text)
        voice = re.compile(r'("audio": ")upl_01m8\w+')
        if voice.search(text):
            text = voice.sub(rf"\g<1>{self._voice()}", text)
        for prefix in self.makers:
            example = rf"\b{prefix}_(?:01m8\w+|12\b)"
            if re.search(example, text):
                text = re.sub(example, self._id(prefix, name), text)
        return text

    def _id(self, prefix: str, name: str) -> str:
        if CHANGES.search(name):
            return self.makers[prefix]()
        if prefix not in self.ids:
            self.ids[prefix] = self.makers[prefix]()
        return self.ids[prefix]

    def _voice(self) -> str:
        body = {"text": "The harbour is quiet.", "format": "wav"}
        made = self.server.call(self.key, "POST", "/api/generate-audio", body)
        return str(made["assets"][0]["url"]).removeprefix("/media/")

    def _made(self, path: str, body: object) -> str:
        return str(self.server.call(self.key, "POST", path, body)["id"])

    def _hold(self) -> str:
        key = {"idempotencyKey": str(uuid4())}
        return self._made("/api/credits/holds", {"amount": 5, "feature": "x", **key})

    def _upload(self, data: bytes, mime_type: str) -> str:
        headers = {**self.headers, "Content-Type": mime_type}
        answer = httpx2.post(f"{self.server.url}/api/uploads", content=data, headers=headers)
        return str(answer.json()["id"])

    def _endpoint(self) -> str:
        body = {"url": "http://127.0.0.1:9/", "events": ["credits.low"]}
        return str(self._post("/api/webhook-endpoints", body)["id"])

    def _post(self, path: str, body: object) -> Any:
        headers = {"Origin": self.server.url, "x-admin-key": ADMIN_KEY}
        answer = self.browser.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="module")
def site(server: ApiServer, browser: httpx2.Client, folder: Path) -> Site:
    return Site(server, browser, folder)


@pytest.fixture(scope="module")
def programs(server: ApiServer, site: Site, folder: Path) -> Programs:
    return Programs(
        folder, CREDITAPP_URL=server.url, CREDITAPP_API_KEY=site.key, ADMIN_API_KEY=ADMIN_KEY
    )


@pytest.fixture(scope="module")
def calls(server: ApiServer) -> dict[str, Element]:
    """The calls of the page by method and path."""
    page = parse_html(httpx2.get(f"{server.url}/api/docs").text)
    return {call.one("summary code").text: call for call in page.all(".api-call")}


@pytest.mark.parametrize("language", ["curl", "python", "javascript"])
def test_every_sample_of_the_reference_runs(
    calls: dict[str, Element], site: Site, programs: Programs, language: str
) -> None:
    require("node" if language == "javascript" else language)
    samples = {
        name: call.one(f".sample-{language} code").raw
        for name, call in calls.items()
        if name not in NOT_RUN and call.has(f".sample-{language}")
    }
    if language == "javascript":
        samples = {name: text for name, text in samples.items() if not BROWSER_ALONE.search(text)}
    assert len(samples) > 30

    texts = [site.with_real_ids(name, text) for name, text in samples.items()]
    if language == "javascript":
        outcomes = programs.run_modules(texts)
    else:
        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(partial(programs.run, language), texts))
    failed = {}
    for (name, text), ended in zip(samples.items(), outcomes, strict=True):
        if not _is_right(name, language, ended.returncode, ended.stdout):
            failed[name] = f"{text}\n{ended.stdout[-300:]}\n{ended.stderr[-300:]}"
    assert not failed, "\n\n".join(failed.values())


def _is_right(name: str, language: str, status: int, out: str) -> bool:
    right = OTHER_STATUSES.get(name)
    if language == "python":
        return status == 0 or right is not None
    if status != 0 or not out.strip():
        return False
    words = out.split()
    answered = int(words[-1] if language == "curl" else words[0])
    return answered in right if right else 200 <= answered < 300


def test_what_is_not_run_is_on_the_page_with_its_reason(calls: dict[str, Element]) -> None:
    assert calls.keys() >= NOT_RUN.keys() | OTHER_STATUSES.keys()
    without = {name for name, call in calls.items() if not call.has(".sample")}
    assert without == {"POST /api/webhooks/stripe", "POST /api/stripe/webhook"}, "Stripe signs them"


def test_the_machine_has_what_the_samples_need() -> None:
    for program in ("curl", "node"):
        require(program)
        assert shutil.which(program)
