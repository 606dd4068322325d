"""Address of an S3 bucket, as ``MEDIA_URL`` names it, and signed links to its objects."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from creditapp.config import SettingsInvalid

_FORM: Final = "s3://bucket/prefix?region=...&endpoint=https://..."
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]+", re.ASCII)
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?/?", re.ASCII)
_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class AccessKeys:
    """The pair of keys that signs requests."""

    key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Bucket:
    """A bucket and the prefix of our objects in it."""

    address: str
    """The address that objects are below, without a slash at its end."""
    prefix: str
    region: str

    @classmethod
    def parse(cls, url: str) -> Bucket:
        """Read a ``MEDIA_URL``; raise ``SettingsInvalid`` with what to set."""
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise _invalid("has no keys in it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if not _BUCKET.fullmatch(parts.netloc) or not _PREFIX.fullmatch(parts.path):
            raise _invalid(f"must be of the form {_FORM}")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := options.keys() - {"endpoint", "region"}:
            raise _invalid(f"has an unknown option {min(unknown)!r}; the form is {_FORM}")
        endpoint = options.get("endpoint", "")
        if endpoint and not _ENDPOINT.fullmatch(endpoint):
            raise _invalid("needs an endpoint such as https://objects.example, without a path")
        # Servers that speak S3's protocol take this region unless they were told another.
        region = options.get("region", "us-east-1" if endpoint else "")
        if not _REGION.fullmatch(region):
            raise _invalid("needs region=..., such as eu-central-1")
        prefix = parts.path.strip("/")
        return cls(_address(parts.netloc, endpoint.rstrip("/"), region), prefix, region)

    @property
    def origin(self) -> str:
        """The origin of the objects' addresses."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    def signed_url(
        self,
        name: str,
        keys: AccessKeys,
        *,
        signed_at: datetime,
        seconds: int,
        parameters: Mapping[str, str],
    ) -> str:
        """Return an address under which an object can be read for some seconds, in UTC.

        Signature Version 4 in the query ("Authenticating Requests: Using Query Parameters" of the
        Amazon S3 API reference). obstore signs no parameters such as the name of a download.
        """
        host, path = urlsplit(self.address).netloc, urlsplit(self.address).path
        path = "/".join(filter(None, (path, self.prefix, quote(name))))
        path = f"/{path.lstrip('/')}"
        scope = f"{signed_at:%Y%m%d}/{self.region}/s3/aws4_request"
        query = {
            **parameters,
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{keys.key_id}/{scope}",
            "X-Amz-Date": f"{signed_at:%Y%m%dT%H%M%SZ}",
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": "host",
        }
        fields = urlencode(sorted(query.items()), quote_via=quote, safe="")
        request = f"GET\n{path}\n{fields}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{query['X-Amz-Date']}\n{scope}\n{digest}"
        signature = hmac.digest(_signing_key(keys.secret, scope), text.encode(), "sha256").hex()
        return f"{self.origin}{path}?{fields}&X-Amz-Signature={signature}"


def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _address(bucket: str, endpoint: str, region: str) -> str:
    if endpoint:
        return f"{endpoint}/{bucket}"
    if "." in bucket:
        # Amazon's certificate covers one label before the host.
        return f"https://s3.{region}.amazonaws.com/{bucket}"
    # An origin of its own, so that our pages may load from this bucket alone.
    return f"https://{bucket}.s3.{region}.amazonaws.com"


def _invalid(rule: str) -> SettingsInvalid:
    return SettingsInvalid(f"MEDIA_URL {rule}.")
