"""Every sample of the documents is run, by its kind, or is listed with the reason why not."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import httpx2
import pytest
from flask import Flask
from standardwebhooks import Webhook

from creditapp.cli import commands
from tests.api_server import ApiServer
from tests.conventions.files import ROOT
from tests.pages import parse_html
from tests.samples.conftest import MODULES, Programs, require
from tests.samples.test_reference import Site

PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "clients/python/README.md"]
)
_BLOCK = re.compile(r"^```(sh|python|javascript|js|mjs)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_OF_DEVELOPERS = {"test", "check", "soak", "bench", "attack", "help"}
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # pragma: allowlist secret

RUN_BY = {
    ("README.md", "sh"): "parsed",
    ("clients/python/README.md", "python"): "tests/clients/test_package.py",
    ("clients/python/README.md", "sh"): "tests/clients/test_package.py builds the package",
    ("docs/api.md", "sh"): "run below",
    ("docs/catalog.md", "sh"): "parsed",
    ("docs/configuration.md", "sh"): "parsed",
    ("docs/designers.md", "sh"): "parsed",
    ("docs/embed.md", "python"): "tests/conventions/test_embed.py, and below",
    ("docs/embed.md", "sh"): "run below",
    ("docs/openai.md", "python"): "tests/openai_shape/test_document.py",
    ("docs/operations.md", "sh"): "parsed",
    ("docs/payments.md", "sh"): "parsed",
    ("docs/performance.md", "sh"): "parsed",
    ("docs/webhooks.md", "javascript"): "run below",
    ("docs/webhooks.md", "python"): "run below",
    ("docs/agents.md", "sh"): "tests/agents/test_buyer.py, and parsed",
    ("docs/security.md", "sh"): "installs an extra of its own",
}
"""The test of each document's samples in a language; ``parsed`` are lines of ``./run``, below."""

NOT_RUN = {
    "cp ": "copies a file of the operator's",
    "set -a": "reads the operator's settings",
    "mkdir ": "a folder of the operator's; tests/restore runs what follows",
    "psql ": "needs the operator's PostgreSQL; tests/restore restores into one",
    "git pull": "fetches another version",
    "for i in": "asks a site behind its proxy; tests/accounts/test_networks.py has the rule",
    "export ": "sets a variable",
    ".venv/bin/python examples/buyer/buyer.py": "tests/agents/test_buyer.py runs it",
    ".venv/bin/uv ": "installs an extra of its own",
    "pip install": "tests/clients/test_package.py builds the package",
    "curl ": "run below; that of a refund needs a receipt, as tests/agents has it",
}
"""Shell lines that are no command of ours, and why they are not run here."""


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each sample."""
    for match in _BLOCK.finditer(page.read_text()):
        yield match[1], match[2]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def sample(page: str, language: str, number: int) -> str:
    """Return one sample of a document."""
    return [text for kind, text in blocks(ROOT / page) if kind == language][number]


def test_every_sample_has_its_test() -> None:
    languages = {(name_of(page), language) for page in PAGES for language, _ in blocks(page)}
    assert languages == set(RUN_BY)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_line_of_a_shell_is_a_command_that_exists(page: Path) -> None:
    for language, text in blocks(page):
        for line in text.replace("\\\n", " ").splitlines() if language == "sh" else ():
            command = re.sub(r"\s+#.*", "", line).strip()
            words = shlex.split(command.replace("...", "x")) if "./run" in command else []
            while words and "=" in words[0]:
                words.pop(0)  # a variable before the command
            if words and words[0] == "./run":
                _parse(words[1:])
            elif command:
                known = any(command.startswith(start) for start in NOT_RUN)
                assert known or line.startswith("  "), line


def _parse(words: list[str]) -> None:
    """Raise ``click.UsageError`` for words that are no command with its arguments and options.

    Without words it serves.
    """
    command: click.Command = commands
    while words and isinstance(command, click.Group):
        if words[0] in _OF_DEVELOPERS:
            return
        found = command.commands.get(words[0])
        assert found is not None, words
        command, words = found, words[1:]
    if command is not commands:
        command.make_context("./run", list(words))


def test_the_curl_lines_of_embedding_spend_hold_and_capture(
    server: ApiServer, tmp_path: Path
) -> None:
    require("curl")
    key = server.new_key("spend", "read")
    programs = Programs(tmp_path, SITE_URL=server.url, API_KEY=key)
    spent = programs.run("curl", sample("docs/embed.md", "sh", 0))
    assert spent.stdout.endswith("200"), spent.stdout
    hold, capture = re.split(r"^(?=curl.*capture)", sample("docs/embed.md", "sh", 1), flags=re.M)
    held = programs.run("curl", hold)
    assert held.stdout.endswith("201"), held.stdout
    (hold_id,) = re.findall(r"hold_\w+", held.stdout)
    captured = programs.run("curl", capture.replace("hold_12", hold_id))
    assert captured.stdout.endswith("200"), captured.stdout
    assert server.balance(key) == 50 - 5 - 4


def test_a_token_for_a_feature_is_made_in_the_same_process(app: Flask) -> None:
    names = {"user_id": "usr_1"}
    with app.app_context():
        exec(sample("docs/embed.md", "python", 1), names)  # the document's own code
    assert names["token"].startswith("cat_")


def test_the_curl_lines_of_the_api_make_an_image_and_upload_a_file(
    server: ApiServer, browser: httpx2.Client, tmp_path: Path
) -> None:
    require("curl")
    page = parse_html(browser.get("/settings/api-keys").text)
    token = page.all("main input[name=csrf_token]")[0]["value"]
    Site(server, browser, tmp_path)
    (tmp_path / "cookies").write_text((tmp_path / "cookies.txt").read_text())
    programs = Programs(tmp_path, TOKEN=token)
    for number, statuses in enumerate((["200", "200"], ["201"])):
        text = sample("docs/api.md", "sh", number).replace("http://127.0.0.1:8000", server.url)
        ended = programs.run("curl", text)
        assert re.findall(r"^(\d{3})", ended.stdout, re.M) == statuses, ended.stdout


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_receivers_of_webhooks_verify(language: str, tmp_path: Path) -> None:
    if language == "javascript":
        require("node")
        if not MODULES.exists():
            pytest.importorskip("tests.interop.conftest")._install()
    body = '{"type": "webhook.test", "data": {}}'
    moment = datetime.fromtimestamp(int(time.time()), UTC)
    signature = Webhook(SECRET).sign("msg_1", moment, body)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }
    use = {
        "python": f"print(receive({body.encode()!r}, {headers})['type'])\n"
        f"receive(b'other', {headers})",
        "javascript": f"console.log(receive('{body}', {headers}).type);\n"
        f"receive('other', {headers});",
    }[language]
    programs = Programs(tmp_path, WEBHOOK_SECRET=SECRET)
    ended = programs.run(language, sample("docs/webhooks.md", language, 0) + use)
    assert ended.stdout == "webhook.test\n", ended.stderr
    assert ended.returncode != 0, "another body is not verified"
    assert "WebhookVerificationError" in ended.stderr
