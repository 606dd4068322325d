"""Restore of a backup into an empty database and empty folders.

Every file is compared with its digest before anything is written.
"""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy.engine import make_url

from creditapp.config import Settings, SettingsInvalid
from creditapp.media import MediaKeyInvalid, open_media
from creditapp.runtime import database_copy, manifest, migrate
from creditapp.runtime.backup import MEDIA_KEYS, Progress, Summary, is_ledger_whole, key_check
from creditapp.runtime.manifest import Manifest


def restore(settings: Settings, folder: Path, progress: Progress) -> Summary:
    """Restore the backup in ``folder``, then count its rows and check the ledger.

    The database comes last: a restore that is cut leaves none. Raises ``SettingsInvalid``,
    ``CopyFailed`` and ``OSError``.
    """
    began = time.monotonic()
    contents = Manifest.read(folder)
    _refuse_other_database(contents, settings)
    _refuse_used_target(contents, settings)
    progress("comparing digests")
    _check_digests(contents, folder)
    _copy_media(contents, folder, settings, progress)
    for name in (manifest.SEALS, manifest.SANDBOX):
        if name in contents.files:
            manifest.copy_file(folder / name, settings.data_dir / name)
    progress("restoring the database")
    _restore_database(contents, folder, settings)
    progress("checking the ledger")
    whole, images_missing = _check(contents, settings)
    return Summary.of(
        contents,
        folder,
        images_missing=images_missing,
        ledger_whole=whole,
        seconds=time.monotonic() - began,
    )


def has_other_key(settings: Settings, folder: Path) -> bool:
    """Return whether the backup was made under another ``SECRET_KEY``."""
    return Manifest.read(folder).key_check != key_check(settings)


def _refuse_other_database(contents: Manifest, settings: Settings) -> None:
    kind = make_url(settings.database_url).get_backend_name()
    if kind != contents.database:
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        raise SettingsInvalid(
            f"The backup is of {names[contents.database]} and DATABASE_URL names {names[kind]}."
        )
    if contents.revision not in migrate.revisions():
        raise SettingsInvalid(
            f"The backup has the schema {contents.revision}, which this version of CreditApp does "
            "not know: restore it with the version that made it."
        )


def _refuse_used_target(contents: Manifest, settings: Settings) -> None:
    if database_copy.tables(settings.database_url):
        setting = "CREDITAPP_DATA" if contents.database == "sqlite" else "DATABASE_URL"
        raise SettingsInvalid(f"The database has tables already: set {setting} to an empty one.")
    for name in (manifest.SEALS, manifest.SANDBOX):
        if name in contents.files and (settings.data_dir / name).exists():
            raise SettingsInvalid(
                f"{settings.data_dir / name} exists already: set CREDITAPP_DATA to a new folder."
            )
    if next(open_media(settings).keys(), None) is not None:
        setting = "MEDIA_URL" if "media_url" in settings.model_fields_set else "CREDITAPP_DATA"
        raise SettingsInvalid(f"The store of images is not empty: set {setting} to a new one.")


def _check_digests(contents: Manifest, folder: Path) -> None:
    for name, record in contents.files.items():
        try:
            found = manifest.record_of(folder / name)
        except FileNotFoundError:
            raise SettingsInvalid(f"The backup is damaged: {name} is missing.") from None
        if found != record:
            raise SettingsInvalid(f"The backup is damaged: {name} differs from its digest.")
    if contents.database_file not in contents.files:
        raise SettingsInvalid("The backup is damaged: it has no database.")


def _copy_media(contents: Manifest, folder: Path, settings: Settings, progress: Progress) -> None:
    media = open_media(settings)
    paths = [name for name in contents.files if name.startswith(f"{manifest.MEDIA}/")]
    for number, name in enumerate(paths, start=1):
        try:
            media.put(Path(name).name, (folder / name).read_bytes())
        except MediaKeyInvalid:
            raise SettingsInvalid(f"The backup is damaged: {name} is not an image.") from None
        progress(f"restoring images: {number} of {len(paths)}")


def _restore_database(contents: Manifest, folder: Path, settings: Settings) -> None:
    source = folder / contents.database_file
    if contents.database == "postgresql":
        database_copy.restore(
            settings.database_url, source, contents.server_version, settings.environ
        )
        return
    target = Path(make_url(settings.database_url).database or "")
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)  # of a restore that was cut
    manifest.copy_file(source, partial)
    partial.rename(target)
    manifest.sync(target.parent)


def _check(contents: Manifest, settings: Settings) -> tuple[bool, int]:
    """Return whether the ledger is whole, and the number of images without a file."""
    with database_copy.snapshot_of(settings.database_url) as connection:
        rows = database_copy.count_rows(connection)
        if rows != contents.rows:
            different = [name for name in contents.rows if rows.get(name) != contents.rows[name]]
            raise SettingsInvalid(f"The restored rows differ from the backup's: {different[0]}.")
        media_keys = set(connection.scalars(MEDIA_KEYS))
        whole = is_ledger_whole(connection, settings.data_dir / manifest.SEALS, contents.revision)
    return whole, len(media_keys - contents.media_keys.keys())
