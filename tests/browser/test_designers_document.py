"""docs/designers.md, done word for word in a fresh copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ROOT, START_SECONDS_MAX, Cast, free_port

pytestmark = pytest.mark.browser

DOCUMENT = (ROOT / "docs" / "designers.md").read_text()
LEFT_OUT = (".git", ".venv", ".data", "__pycache__", ".*_cache", ".hypothesis", "node_modules")


@dataclass(frozen=True)
class Edit:
    """A change of the document: lines to find in a file, and what replaces them."""

    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> int:
        """Make the change; return the line on which it begins."""
        text = (tree / self.file).read_text()
        assert text.count(self.old) == 1, f"{self.file} has {text.count(self.old)} times {self.old}"
        (tree / self.file).write_text(text.replace(self.old, self.new))
        return text[: text.index(self.old)].count("\n") + 1

    def undo(self, tree: Path) -> None:
        """Take the change back."""
        Edit(self.file, self.new, self.old).apply(tree)


def edits() -> list[Edit]:
    """Return every change that the document writes as a difference, in its order."""
    found = []
    for file, lines in re.findall(r"```diff\n--- (\S+)\n(.*?)```", DOCUMENT, re.DOTALL):
        rows = lines.splitlines()
        old = "".join(f"{row[1:]}\n" for row in rows if row[0] in " -")
        new = "".join(f"{row[1:]}\n" for row in rows if row[0] in " +")
        found.append(Edit(file, old, new))
    return found


def new_files() -> dict[str, str]:
    """Return the files that the document tells to write."""
    return dict(
        re.findall(r"^\*\*([\w/.]+)\*\*\n\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL | re.MULTILINE)
    )


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A fresh copy of the project, served by the document's own command."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
    # What ./run would install is there already; without its mark it would be installed again.
    (tree / ".venv").symlink_to(sys.prefix)
    (command,) = re.findall(r"```sh\n(.*?)\n```", DOCUMENT, re.DOTALL)
    port = free_port()
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=tree,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PORT": str(port),
            "CREDITAPP_LOG_LEVEL": "error",
        },
        stdout=(tmp_path / "out.txt").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    base, give_up_at = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            urllib.request.urlopen(f"{base}/readyz", timeout=2).close()
            break
        except OSError:
            assert process.poll() is None, (tmp_path / "out.txt").read_text()
            assert time.monotonic() < give_up_at, (tmp_path / "out.txt").read_text()
            time.sleep(0.1)
    yield base, tree
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)


def test_the_first_changes_and_the_three_mistakes(
    chromium: Browser, copy: tuple[str, Path]
) -> None:
    base, tree = copy
    cast = Cast(chromium, base)
    designer, other = cast.person(still=True), cast.person(still=True)
    accent, component, page_, state, *mistakes = edits()
    assert len(mistakes) == 3

    accent.apply(tree)
    page = designer.open("/")
    button = page.locator("#generate").evaluate("(e) => getComputedStyle(e).backgroundColor")
    assert button == "rgb(29, 78, 137)"

    component.apply(tree)
    expect(designer.open("/credits-demo/empty").locator(".empty p > svg")).to_have_count(3)
    expect(other.open("/").locator(".empty p > svg")).to_have_count(1)

    page_.apply(tree)
    expect(designer.open("/credits").locator("h1")).to_have_text("Choose your credits")

    state.apply(tree)
    page = designer.open("/credits-demo/empty")
    expect(page.locator(".demo-state").first).to_contain_text("No image has these words")
    page.get_by_role("link", name="Code of Nothing found").click()
    expect(page.locator(".demo-state code").first).to_contain_text("ui.empty(")

    assert [name.split("/")[0] for name in new_files()] == ["templates", "static", "templates"]
    for name, text in new_files().items():
        (tree / name).write_text(text)
    page = designer.open("/credits-demo/badge")
    expect(page.locator("main .badge")).to_have_text("New")
    expect(page.locator(".demo-parameters tbody tr")).to_contain_text("one word.")
    expect(page.locator("#demo-groups").get_by_role("link", name="badge")).to_be_visible()
    expect(page.locator(".mistake")).to_have_count(0)

    sign, parameter, comma = mistakes
    sign.apply(tree)
    page = designer.open("/")
    assert_box(page, "header .mistake", sign.file, None, "unknown tag 'else'")
    expect(page.locator("h1")).to_have_text("Make something new")
    expect(page.locator("#generate")).to_be_visible()
    sign.undo(tree)

    line = parameter.apply(tree)
    page = designer.open("/credits-demo/button")
    box = "#state-danger .demo-stage .mistake"
    assert_box(page, box, parameter.file, line, "takes no keyword argument 'knd'")
    expect(page.locator("#state-main .demo-stage .button")).to_be_visible()
    parameter.undo(tree)

    line = comma.apply(tree)
    page = designer.open("/credits-demo/toast")
    assert_box(page, ".demo-page .mistake", comma.file, line + 1, "This is no JSON")
    comma.undo(tree)
    expect(designer.open("/credits-demo/toast").locator(".mistake")).to_have_count(0)
    for context in cast.contexts:
        context.close()


def assert_box(page: Page, selector: str, file: str, line: int | None, message: str) -> None:
    """Assert that the only mistake on a page is drawn there, with file, line and message."""
    expect(page.locator(".mistake")).to_have_count(1)
    expect(page.locator(selector)).to_contain_text(f"{file}:{line or ''}")
    expect(page.locator(selector)).to_contain_text(message)
