"""Every variable that the app reads is described, and no other."""

from __future__ import annotations

import re
import secrets
import subprocess
from pathlib import Path

import pytest

from creditapp.catalog.load import PRESETS, load_catalog
from creditapp.config import NAMES, Settings, SettingsInvalid, load_settings
from tests.conventions.files import ROOT, texts

_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|(.+)\|(.+)\|(.+)\|$", re.MULTILINE)
_SETTING = re.compile(r"^#? ?([A-Z][A-Z0-9_]+)=", re.MULTILINE)


def named_by_catalogs() -> set[str]:
    """Return the variables that the catalogs which ship name for their providers and prices."""
    return {name for preset in PRESETS for name in load_catalog(preset).environment}


def test_the_page_describes_every_setting_and_no_other() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = _ROW.findall(page)
    described = [name for name, *_ in rows]
    assert len(described) == len(set(described))
    assert set(described) == set(NAMES) | named_by_catalogs()
    for name, meaning, default, example in rows:
        assert meaning.strip(), name
        assert default.strip(), name
        assert example.strip(), name


def test_the_page_says_each_default_as_the_code_has_it() -> None:
    rows = _ROW.findall((ROOT / "docs" / "configuration.md").read_text())
    said = {name: default.strip() for name, _, default, _ in rows}
    for field in Settings.model_fields.values():
        if isinstance(field.default, bool | int | str | Path) and field.default != "":
            default = int(field.default) if isinstance(field.default, bool) else field.default
            assert said[str(field.alias)] == f"`{default}`", field.alias


def test_the_example_file_names_every_setting_and_no_other() -> None:
    named = _SETTING.findall((ROOT / ".env.example").read_text())
    assert len(named) == len(set(named))
    assert set(named) == set(NAMES) | named_by_catalogs()


def test_the_example_file_sets_nothing_until_a_line_is_uncommented() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_example_file_uncommented_is_read_by_a_shell_and_by_the_app() -> None:
    script = re.sub(
        r"^# ?([A-Z][A-Z0-9_]+=)", r"\1", (ROOT / ".env.example").read_text(), flags=re.M
    )
    shown = subprocess.run(
        ["sh", "-c", f"set -a\n{script}\nexec env -0"], capture_output=True, text=True, check=True
    ).stdout
    environ = dict(each.split("=", 1) for each in shown.split("\0") if each)
    chosen = {name: environ[name] for name in NAMES if name in environ}
    # The keys in the file are refused as the placeholders that they are.
    for name, length in (
        ("SECRET_KEY", 48),
        ("CREDITAPP_AGENTS_KEY", 32),
        ("CREDITAPP_PREVIOUS_AGENTS_KEYS", 32),
    ):
        with pytest.raises(SettingsInvalid, match=f"{name} is a placeholder"):
            load_settings(chosen)
        chosen[name] = secrets.token_urlsafe(length)
    settings = load_settings(chosen)
    assert settings.production
    assert settings.livemode


def test_the_defaults_on_the_page_are_the_defaults_of_the_app(tmp_path: object) -> None:
    settings = load_settings({"CREDITAPP_DATA": str(tmp_path)})
    page = (ROOT / "docs" / "configuration.md").read_text()
    told = {name: default.strip().strip("`") for name, _, default, _ in _ROW.findall(page)}
    assert told["CREDITAPP_ENV"] == settings.env
    assert told["CREDITAPP_CATALOG"] == settings.catalog
    assert told["CREDITAPP_LOG_LEVEL"] == settings.log_level
    assert told["CREDITAPP_JOBS"] == settings.jobs
    assert told["CREDITAPP_SITE_NAME"] == settings.site_name
    assert told["CREDITAPP_MAIL_FROM"] == settings.mail_from
    assert int(told["CREDITAPP_THREADS"]) == settings.threads
    assert told["CREDITAPP_CLIENT_IP_HEADER"] == settings.client_ip_header
    assert int(told["CREDITAPP_TRUSTED_PROXIES"]) == settings.trusted_proxies
    assert told["HOST"] == settings.host
    assert int(told["PORT"]) == settings.port


def test_one_module_reads_the_environment() -> None:
    readers = [
        name
        for name, text in texts(".py").items()
        if name.startswith("creditapp/")
        and name != "creditapp/web/view_models/api_samples.py"  # it writes programs that read it
        and re.search(r"os\.(environ|getenv)", text)
    ]
    assert readers == ["creditapp/config.py"]
