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

from pydantic import ValidationError

from creditapp.catalog import build
from creditapp.catalog.models import Catalog
from creditapp.catalog.refusals import CatalogInvalid
from creditapp.catalog.schema import CatalogTable

PRESETS = ("studio", "dollars", "agents")
_FOLDER = Path(__file__).parent


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
    try:
        table = CatalogTable.model_validate(document)
    except ValidationError as error:
        # A misspelt key comes first: what it leaves missing is only its echo.
        errors = error.errors(include_url=False)
        first = min(errors, key=lambda each: each["type"] != "extra_forbidden")
        key = _key(document, first["loc"])
        raise CatalogInvalid(file, key, _reason(first["type"], first["msg"])) from None
    return build.catalog(table, file=file, digest=digest(document), version_id=version_id)


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
    here = document
    for step in location:
        if isinstance(step, int) and isinstance(here, list) and step < len(here):
            here = here[step]
            label = here.get("id") if isinstance(here, Mapping) else None
            parts.append(label if isinstance(label, str) else f"{step + 1}")
        elif isinstance(here, Mapping) and step in here:
            here = here[str(step)]
            parts.append(str(step))
        elif step != "[key]":
            parts.append(str(step))
    return ".".join(parts)


_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is not a key that a catalog has here",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be text in quotes",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}


def _reason(kind: str, message: str) -> str:
    if kind in _REASONS:
        return _REASONS[kind]
    text = message.removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return text.replace(" after validation", "").replace("should ", "must ")
