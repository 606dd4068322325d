"""Checks, rewrites and stores one file that a member brings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from creditapp import accounts
from creditapp.accounts.throttle import count_try, counter
from creditapp.config import Settings
from creditapp.db import transaction
from creditapp.errors import AuthenticationRequired, Conflict, PayloadTooLarge, UnsupportedMediaType
from creditapp.generation.funding import Caller
from creditapp.generation.models import Upload
from creditapp.generation.uploads.file_types import (
    HEAD_BYTES,
    FileType,
    accepted,
    name_of,
    recognise,
)
from creditapp.generation.uploads.process import rewrite
from creditapp.generation.uploads.queries import delete_files
from creditapp.generation.uploads.refusals import refusal_of
from creditapp.ids import new_id
from creditapp.media import Media
from creditapp.rate_limits import UPLOAD_BYTES_MAX, UPLOADS, UPLOADS_BYTES_MAX, UPLOADS_MAX
from creditapp.services import get


def store_upload(
    stream: IO[bytes], by: Caller, *, now: datetime, kinds: Sequence[str] = ()
) -> Upload:
    """Check, rewrite and store one file of a member, and return its row. Owns its transactions.

    ``kinds`` are the kinds that fit where it will be used; without any, every kind. Raises
    ``AuthenticationRequired`` for a guest, ``RateLimited``, ``Conflict`` when the account is full,
    ``PayloadTooLarge``, ``UnsupportedMediaType``, and ``ValidationFailed`` with a sentence for
    everything else that makes a file useless. No transaction is open while the file is read.
    """
    if by.member is None:
        raise AuthenticationRequired("Sign up to use files of your own.")
    with ExitStack() as opened:
        source = opened.enter_context(TemporaryFile())
        shutil.copyfileobj(stream, source)
        file_type = _check(source, kinds)
        with transaction() as session:
            _require_room(session, by)
            limit = counter("upload", UPLOADS, get(Settings).derived_key("uploads"), *by.owner)
            count_try(session, [limit], now=now, detail="You sent many files.")
        target = opened.enter_context(TemporaryFile())
        thumbnail = opened.enter_context(TemporaryFile())
        facts = rewrite(file_type, source, target, thumbnail)
        source.close()
        _check_kind(facts["mime_type"], kinds)
        return _store(facts, target, thumbnail, by, now)


def _check(source: IO[bytes], kinds: Sequence[str]) -> FileType:
    """Return the type that the bytes have; raise if it or the size is not accepted."""
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    head = source.read(HEAD_BYTES)
    source.seek(0)
    if not size:
        raise refusal_of({"refused": "empty"})
    file_type = recognise(head)
    if file_type is None:
        raise UnsupportedMediaType(f"This file is {name_of(head)}. {accepted(kinds)}")
    bytes_max = max(UPLOAD_BYTES_MAX[kind] for kind in file_type.kinds)
    if size > bytes_max:
        _refuse_size(size, bytes_max)
    if kinds and not set(kinds) & set(file_type.kinds):
        raise refusal_of({"refused": "kind", "kind": file_type.kinds[0], "kinds": kinds})
    return file_type


def _check_kind(mime_type: str, kinds: Sequence[str]) -> None:
    """Refuse a container that turned out to hold another kind, such as a video without a video."""
    kind = mime_type.partition("/")[0]
    if kinds and kind not in kinds:
        raise refusal_of({"refused": "kind", "kind": kind, "kinds": kinds})


def _refuse_size(size: int, bytes_max: int) -> None:
    megabytes, most = -(-size // 1024**2), bytes_max // 1024**2
    raise PayloadTooLarge(f"This file has {megabytes} MB; at most {most} MB fit.")


def _require_room(session: Session, by: Caller) -> None:
    kind, owner_id = by.owner
    query = select(func.count(), func.coalesce(func.sum(Upload.bytes), 0)).where(
        Upload.owner_kind == kind, Upload.owner_id == owner_id
    )
    count, total = session.execute(query).one()
    if count >= UPLOADS_MAX or total >= UPLOADS_BYTES_MAX:
        raise Conflict(
            f"You have {count} uploads with {total // 1024**2} MB; at most {UPLOADS_MAX} with "
            f"{UPLOADS_BYTES_MAX // 1024**2} MB are kept. Delete some of them first."
        )


def _store(
    facts: dict[str, Any], target: IO[bytes], thumbnail: IO[bytes], by: Caller, now: datetime
) -> Upload:
    """Store the files, then the row. A crash between leaves files without a row, never the other.

    Of two uploads at the same moment both may find room for the last one.
    """
    media, stored = get(Media), list[str]()
    try:
        size = 0
        for file, mime_type in ((target, facts["mime_type"]), (thumbnail, "image/webp")):
            file.seek(0)
            data = file.read()
            if data:
                stored.append(media.store(data, mime_type))
                size += len(data)
            del data
        kind, owner_id = by.owner
        upload = Upload(
            id=new_id("upl"),
            owner_kind=kind,
            owner_id=owner_id,
            media_key=stored[0],
            thumbnail_key=stored[1] if len(stored) > 1 else None,
            mime_type=facts["mime_type"],
            width=facts["width"],
            height=facts["height"],
            milliseconds=facts["milliseconds"],
            bytes=size,
            used_at=now,
            created_at=now,
        )
        with transaction() as session:
            accounts.require_open(session, owner_id)
            _require_room(session, by)
            session.add(upload)
    except BaseException:
        delete_files(stored)
        raise
    return upload
