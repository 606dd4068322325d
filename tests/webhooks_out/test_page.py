"""docs/webhooks.md: its programs verify what we send, word for word."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from subprocess import run

import pytest

from creditapp.webhooks_out import runs
from tests.app_factory import Person
from tests.interop import conftest as interop
from tests.webhooks_out.examples import PAGE
from tests.webhooks_out.hooks import PATH, Hooks
from tests.webhooks_out.receiver import Receiver

node = interop.node

PYTHON = """
import json, sys
from receive import receive
body, headers = json.loads(sys.argv[1])
print(receive(body.encode(), headers)["type"])
"""
JAVASCRIPT = """
import { receive } from "./receive.mjs";
const [body, headers] = JSON.parse(process.argv[2]);
console.log(receive(body, headers).type);
"""

pytestmark = pytest.mark.databases("sqlite")


def program(language: str) -> str:
    """Return the program of the page in a language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    return str(code)


@pytest.fixture
def sent(alice: Person, hooks: Hooks, receiver: Receiver) -> tuple[str, str, str]:
    """A webhook as it arrived: the secret, then body and headers as JSON, and with another body."""
    kept: list[tuple[str, dict[str, str]]] = []
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    receiver.take = lambda headers, body: kept.append(  # type: ignore[method-assign]  # keeps all
        (body, {name.lower(): value for name, value in headers.items()})
    )
    alice.call("POST", f"{PATH}/{endpoint['id']}/test")
    hooks.deliver()
    ((body, headers),) = kept
    forged = body.replace("whe_", "xxx_")
    return endpoint["secret"], json.dumps([body, headers]), json.dumps([forged, headers])


def test_the_python_program_verifies_a_webhook(tmp_path: Path, sent: tuple[str, str, str]) -> None:
    secret, genuine, forged = sent
    (tmp_path / "receive.py").write_text(program("python"))
    command = [sys.executable, "-c", PYTHON]
    environ = {"WEBHOOK_SECRET": secret, "PYTHONPATH": str(tmp_path)}
    ended = run([*command, genuine], env=environ, capture_output=True, text=True)
    assert ended.stdout == "webhook.test\n", ended.stderr
    ended = run([*command, forged], env=environ, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "WebhookVerificationError" in ended.stderr


def test_the_javascript_program_verifies_a_webhook(
    tmp_path: Path, node: interop.RunNode, sent: tuple[str, str, str]
) -> None:
    secret, genuine, forged = sent
    (tmp_path / "node_modules").symlink_to(interop.FOLDER / "node_modules")
    (tmp_path / "receive.mjs").write_text(program("javascript"))
    main = tmp_path / "main.mjs"
    main.write_text(JAVASCRIPT)
    assert node(str(main), genuine, WEBHOOK_SECRET=secret) == "webhook.test\n"
    with pytest.raises(AssertionError, match="WebhookVerificationError"):
        node(str(main), forged, WEBHOOK_SECRET=secret)


def test_the_page_tells_the_schedule() -> None:
    words = (
        "about 10 seconds, 1 minute, 5 minutes, 30 minutes, 2 hours, 5 hours, 8 hours and 8 hours"
    )
    assert words in " ".join(PAGE.split())
    seconds = [wait.total_seconds() for wait in runs.RETRIES]
    assert seconds == [10, 60, 300, 1800, 7200, 18000, 28800, 28800]
