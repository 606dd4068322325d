"""Storage of generated images, audio and video under unguessable keys: in a folder or on S3.

Access is not decided here: the row that holds the key has an owner, and the route that serves the
file checks it. A key shows only the type of file, so it may be logged.
"""

from __future__ import annotations

import re
from pathlib import Path

from creditapp.config import Settings, SettingsInvalid
from creditapp.media.files import FileMedia
from creditapp.media.keys import EXTENSIONS, MediaKeyInvalid, MediaTypeUnknown, mime_type_of
from creditapp.media.store import Link, Media, MediaUnavailable


def open_media(settings: Settings, url: str = "") -> Media:
    """Return the store that ``MEDIA_URL``, or another URL, names. Nothing is read or written.

    Raises ``SettingsInvalid`` for a URL of another kind, and for a bucket without keys.
    """
    url = url or settings.media_url
    if url.startswith("file:"):
        # file:/srv/media and file:///srv/media mean the same (RFC 8089).
        return FileMedia(Path(re.sub(r"^//(?=/)", "", url.removeprefix("file:"))))
    if url.startswith("s3:"):
        return _open_bucket(settings, url)
    raise SettingsInvalid("MEDIA_URL must start with file: and name a folder, or with s3://")


def _open_bucket(settings: Settings, url: str) -> Media:
    # Imported here: a site with a folder need not load it.
    from creditapp.media.bucket import AccessKeys, Bucket
    from creditapp.media.s3 import S3Media

    bucket = Bucket.parse(url)
    for name, text in (
        ("AWS_ACCESS_KEY_ID", settings.aws_access_key_id),
        ("AWS_SECRET_ACCESS_KEY", settings.aws_secret_access_key),
    ):
        if not text:
            raise SettingsInvalid(f"{name} is missing: MEDIA_URL names a bucket.")
    if settings.production and bucket.address.startswith("http://"):
        raise SettingsInvalid("MEDIA_URL needs an endpoint with https:// in production.")
    return S3Media(bucket, AccessKeys(settings.aws_access_key_id, settings.aws_secret_access_key))
