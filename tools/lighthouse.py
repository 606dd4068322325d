"""``./run soak lighthouse``: Google's Lighthouse over the main pages, the median of three runs.

Needs Node 18.16 or newer with npm; Lighthouse comes from the npm registry into a temporary folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from typing import Any

from tests.app_factory import CHROMIUM, CHROMIUM_FLAGS
from tests.browser.conftest import free_port, start_server, stop_server

LIGHTHOUSE = "lighthouse@12.2.3"
"""The last version for Node 20."""

RUNS = 3
LEAST = {"performance": 95, "accessibility": 100, "best-practices": 100, "seo": 100}
PAGES = {"/": False, "/credits": False, "/dashboard": True, "/credits-demo": False}
"""Each page, and whether a member opens it."""


def main() -> None:
    """Print each page's scores and what lowers them; exit 1 if one is too low."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder)
        data, port = folder / "data", free_port()
        data.mkdir()
        process = start_server(data, port)
        try:
            too_low = measure(folder, f"http://127.0.0.1:{port}")
        finally:
            stop_server(process)
    sys.exit(1 if too_low else 0)


def install(folder: Path) -> None:
    """Install Lighthouse into a folder."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is missing: apt-get install -y nodejs npm")
    line = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--silent", LIGHTHOUSE]
    if subprocess.call(line, cwd=folder) != 0:  # noqa: S603  # our own command line
        sys.exit(f"npm could not install {LIGHTHOUSE}: is its registry reachable?")


def measure(folder: Path, base: str) -> int:
    """Print the scores of every page; return how many are too low."""
    cookies, too_low = sign_up(base), 0
    for path, member in PAGES.items():
        headers = {"Cookie": cookies} if member else {}
        reports = [run(folder, base + path, headers) for _ in range(RUNS)]
        scores = {
            category: round(
                median(100 * report["categories"][category]["score"] for report in reports)
            )
            for category in LEAST
        }
        print(path, scores, flush=True)  # noqa: T201
        for category, least in LEAST.items():
            if scores[category] < least:
                too_low += 1
                print_causes(reports[-1], category)
    return too_low


def run(folder: Path, url: str, headers: dict[str, str]) -> dict[str, Any]:
    """Return the report of one run over one page, as a phone on a slow network sees it."""
    ended = subprocess.run(  # noqa: S603  # our own command line
        [
            *(folder / "node_modules/.bin/lighthouse", url, "--quiet", "--output=json"),
            f"--extra-headers={json.dumps(headers)}",
            f"--only-categories={','.join(LEAST)}",
            f"--chrome-flags={' '.join(['--headless=new', *CHROMIUM_FLAGS])}",
        ],
        env={**os.environ, "CHROME_PATH": CHROMIUM},
        stdout=subprocess.PIPE,
        check=True,
    )
    report: dict[str, Any] = json.loads(ended.stdout)
    if report["finalDisplayedUrl"] != url:
        sys.exit(f"{url} led to {report['finalDisplayedUrl']}: is the member logged in?")
    return report


def print_causes(report: dict[str, Any], category: str) -> None:
    """Print every audit of a category that did not get its full score."""
    for reference in report["categories"][category]["auditRefs"]:
        audit = report["audits"][reference["id"]]
        if reference["weight"] and (audit["score"] or 0) < 1 and audit["score"] is not None:
            print(f"  {category}: {audit['title']} {audit.get('displayValue', '')}")  # noqa: T201
            for item in audit.get("details", {}).get("items", [])[:5]:
                print(f"    {json.dumps(item)[:300]}")  # noqa: T201


def sign_up(base: str) -> str:
    """Open an account and return its cookies."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form = browser.open(f"{base}/auth/signup").read().decode()
    (token,) = set(re.findall(r'name="csrf_token" value="([^"]+)"', form))
    fields = {
        "csrf_token": token,
        "email": "lighthouse@example.com",
        "password": "correct horse battery",
    }
    browser.open(f"{base}/auth/signup", urllib.parse.urlencode(fields).encode())
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


if __name__ == "__main__":
    main()
