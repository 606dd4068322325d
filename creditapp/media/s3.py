"""Files as objects of an S3 bucket, at Amazon or at any server that speaks its protocol."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import structlog

from creditapp.media.bucket import AccessKeys, Bucket
from creditapp.media.keys import checked, is_key, mime_type_of, new_key
from creditapp.media.store import Link, MediaUnavailable

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3Store

LINK_SECONDS: Final = 3600
"""How long a link is valid."""
WINDOW_SECONDS: Final = 1800
"""Links of the same half hour are the same, so that browsers keep the file with its address."""

CONNECT_SECONDS: Final = 3
SILENT_SECONDS: Final = 10
"""How long the bucket may keep an answer waiting, and a silence within one."""
PUT_SECONDS: Final = 120
"""The same for an upload, which counts as silence until it is whole: a video on a slow line."""
REQUEST_SECONDS: Final = 300
RETRIES: Final = 3
RETRY_SECONDS_MAX: Final = 15

_CACHE_CONTROL: Final = "private, max-age=31536000, immutable"
_CODE = re.compile(r"<Code>(\w+)</Code>")

log = structlog.get_logger(__name__)


class S3Media:
    """A bucket; each file is one object, named by its key below the prefix.

    Used in one process alone: the client's threads do not survive a fork.
    """

    def __init__(self, bucket: Bucket, keys: AccessKeys) -> None:
        self.bucket, self._keys = bucket, keys
        self.origin = bucket.origin
        self._objects = _connect(bucket, keys, SILENT_SECONDS)
        self._uploads = _connect(bucket, keys, PUT_SECONDS)

    def store(self, data: bytes, mime_type: str) -> str:
        """Put an object under a new key and return the key. Raises ``MediaTypeUnknown``."""
        key = new_key(mime_type)
        self.put(key, data)
        return key

    def put(self, key: str, data: bytes) -> None:
        """Put an object; it is there whole, or not at all. The bucket compares its digest."""
        import obstore

        attributes = {"Content-Type": mime_type_of(key), "Cache-Control": _CACHE_CONTROL}
        with _errors("put"):
            obstore.put(self._uploads, key, data, attributes=attributes, use_multipart=False)

    def open(self, key: str) -> BinaryIO:
        """Read the object into memory. Raises ``FileNotFoundError``."""
        import obstore

        with _errors("get"):
            return io.BytesIO(obstore.get(self._objects, checked(key)).bytes())

    def location(self, key: str, disposition: str) -> Path | Link:
        """Return a signed link, valid for between half an hour and an hour."""
        # The machine's time, with which the bucket compares: a demo's clock can be moved.
        moment = int(datetime.now(UTC).timestamp())
        begin = moment - moment % WINDOW_SECONDS
        url = self.bucket.signed_url(
            checked(key),
            self._keys,
            signed_at=datetime.fromtimestamp(begin, UTC),
            seconds=LINK_SECONDS,
            parameters={"response-content-disposition": disposition},
        )
        return Link(url, fresh_seconds=begin + WINDOW_SECONDS - moment)

    def size(self, key: str) -> int:
        """Return the number of bytes. Raises ``FileNotFoundError``."""
        import obstore

        with _errors("head"):
            return obstore.head(self._objects, checked(key))["size"]

    def delete(self, key: str) -> bool:
        """Delete the object; S3 does not say whether it existed. Idempotent."""
        import obstore

        with _errors("delete"):
            obstore.delete(self._objects, checked(key))
        return True

    def keys(self) -> Iterator[str]:
        """Yield the key of every file, in no order."""
        import obstore

        with _errors("list"):
            for page in obstore.list(self._objects):
                yield from (found["path"] for found in page if is_key(found["path"]))


def _connect(bucket: Bucket, keys: AccessKeys, silent_seconds: float) -> S3Store:
    """Return the client. Nothing is read from the environment that the configuration names."""
    from obstore.store import S3Store

    def credentials() -> S3Credential:
        return {
            "access_key_id": keys.key_id,
            "secret_access_key": keys.secret,
            "token": None,
            "expires_at": None,
        }

    return S3Store(
        prefix=bucket.prefix or None,
        config={
            "bucket": "unnamed",  # the address has it
            "region": bucket.region,
            "endpoint": bucket.address,
            "aws_endpoint_url_s3": bucket.address,
            "virtual_hosted_style_request": True,
            "disable_bulk_delete": True,  # not every vendor offers it
        },
        credential_provider=credentials,
        client_options={
            "allow_http": bucket.address.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=silent_seconds),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        },
        retry_config={
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS_MAX),
        },
    )


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Raise what a store raises in place of obstore's errors, whose text quotes requests.

    A missing bucket is 404 too: nothing may take its files for deleted ones.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        code = _CODE.search(str(error))
        reason = code.group(1) if code else type(error).__name__
        if isinstance(error, FileNotFoundError) and reason != "NoSuchBucket":
            raise FileNotFoundError("this file is not in the bucket") from None
        log.warning("bucket failed", operation=what, reason=reason)
        raise MediaUnavailable(reason) from None
