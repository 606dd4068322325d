"""Load a catalog, or raise one line that says what is wrong with it.

``load_catalog`` reads a preset by name or any file by path; ``parse`` takes the parsed document, as
versions in the database have it.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.fields import UNKNOWN_KEY

PRESETS = ("studio", "dollars", "agents")
_FOLDER = Path(__file__).parent


class CatalogInvalid(Exception):
    """A catalog that cannot be used; its text is one line with file, key and reason."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        self.file = file
        self.key = key
        self.reason = " ".join(reason.split())
        super().__init__(": ".join(part for part in (file, key, self.reason) if part))


def load_catalog(name_or_path: str | Path) -> Catalog:
    """Return the preset of that name, or the catalog in the file at that path.

    Raises ``CatalogInvalid`` with file, key and reason; nothing of a bad catalog is ever used.
    """
    file, document = read_catalog_file(name_or_path)
    return parse(document, file=file)


def read_catalog_file(name_or_path: str | Path) -> tuple[str, dict[str, object]]:
    """Return a file's name and its document; only the syntax is checked."""
    path = _path(name_or_path)
    try:
        return path.name, tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise CatalogInvalid(str(path), "", f"cannot be read: {reason.lower()}") from None
    except UnicodeDecodeError:
        raise CatalogInvalid(path.name, "", "must be UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at ")
        raise CatalogInvalid(path.name, place.rstrip(")"), f"is not TOML: {reason}") from None


def parse(document: Mapping[str, object], *, file: str, version_id: str | None = None) -> Catalog:
    """Return the catalog that a document describes; raise ``CatalogInvalid`` for an invalid one.

    ``file`` names the document in the error. The digest is over the content: comments and layout
    do not change it.
    """
    _refuse_inexact(document, file, ())
    currency = str(document.get("currency"))
    try:
        catalog = Catalog.model_validate(document, context={"currency": currency})
    except ValidationError as error:
        # A misspelt key comes first: what it leaves missing is only its echo.
        errors = error.errors(include_url=False)
        first = min(errors, key=lambda details: details["type"] != "extra_forbidden")
        cause = first.get("ctx", {}).get("error")
        key = _key(document, (*first["loc"], getattr(cause, "key", "")))
        raise CatalogInvalid(file, key, _reason(first["type"], first["msg"])) from None
    return catalog.model_copy(update={"digest": digest(document), "version_id": version_id})


def canonical_text(document: Mapping[str, object]) -> str:
    """Return a document as the one JSON text that stands for it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def digest(document: Mapping[str, object]) -> str:
    """Return the fingerprint of a document: two that say the same have the same.

    The order of tables counts, because people see models and packs in it.
    """
    return hashlib.sha256(canonical_text(document).encode()).hexdigest()


def preset_path(name: str) -> Path:
    """Return where the preset of that name lies."""
    return _FOLDER / f"{name}.toml"


def _path(name_or_path: str | Path) -> Path:
    if str(name_or_path) in PRESETS:
        return preset_path(str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        choices = ", ".join(PRESETS)
        raise CatalogInvalid(
            str(name_or_path), "", f"is neither a file nor one of the presets {choices}"
        )
    return path


def _refuse_inexact(value: object, file: str, where: tuple[str | int, ...]) -> None:
    if isinstance(value, float):
        key = ".".join(str(part) for part in where)
        raise CatalogInvalid(
            file, key, f'write {value} in quotes ("{value}"): a bare decimal is not exact'
        )
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _refuse_inexact(inner, file, (*where, name))
    elif isinstance(value, list):
        for inner in value:
            label = inner.get("id", "") if isinstance(inner, Mapping) else ""
            _refuse_inexact(inner, file, (*where, label) if label else where)


def _key(document: object, location: tuple[str | int, ...]) -> str:
    """Return a place as an operator finds it: ``models.flux-dev.price``, not ``models.1.price``."""
    parts: list[str] = []
    value: Any = document
    for step in location:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
        label = value.get("id") if isinstance(step, int) and isinstance(value, Mapping) else None
        if isinstance(step, int):
            parts.append(label if isinstance(label, str) else f"{step + 1}")
        elif step not in ("", "[key]"):
            parts.append(step)
    return ".".join(parts)


_REASONS = {
    "missing": "is missing",
    "extra_forbidden": UNKNOWN_KEY,
    "bool_type": "must be true or false",
    "greater_than": "must be greater than zero",
    "int_type": "must be a whole number",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}


def _reason(kind: str, message: str) -> str:
    if kind in _REASONS:
        return _REASONS[kind]
    text = message.removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    text = text.replace("Tuple ", "List ")
    return text.replace(" after validation", "").replace("should ", "must ")
