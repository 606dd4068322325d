"""An S3 bucket on loopback: signatures checked, objects kept in memory, and faults when told to.

It answers GET, HEAD, PUT, DELETE and ListObjectsV2 as the Amazon S3 API reference describes, at
``http://127.0.0.1:<port>/<bucket>/<key>``. In a test::

    with FakeS3() as s3:
        ... MEDIA_URL=s3.url, AWS_ACCESS_KEY_ID=s3.access_key, AWS_SECRET_ACCESS_KEY=s3.secret_key
        s3.fail("http_503", times=2)
        assert s3.objects["ab.png"].data == b"..."

Imports nothing of the app.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from tests.fakes.http_server import FakeHandler, FakeServer
from tests.fakes.s3_signatures import BadSignature, Checker, SignedRequest

FAULTS = {
    "http_403": "the keys have no right to do this",
    "http_503": "SlowDown: asks to come again",
    "reset": "takes the request and resets the connection",
    "slow": "answers after a second",
    "silent": "takes the request and does not answer",
    "lost": "does what was asked and resets the connection before the answer",
    "damaged": "answers with one byte changed",
}
PAGE = 100
"""Keys of one page of a list; S3's own pages have 1,000."""
# pragma: allowlist nextline secret
KEYS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
"""The key pair of Amazon's own examples."""

_RESPONSE = re.compile(r"response-(content-(?:type|language|disposition|encoding)|cache-control)")


@dataclass(frozen=True)
class Object:
    """One stored object."""

    data: bytes = field(repr=False)
    content_type: str
    headers: Mapping[str, str]

    @property
    def etag(self) -> str:
        """The digest that S3 gives an object of one part."""
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


class FakeS3(FakeServer):
    """The server; as a context manager it listens inside the ``with``."""

    def __init__(
        self, bucket: str = "media", region: str = "eu-central-1", prefix: str = ""
    ) -> None:
        super().__init__(_Handler)
        self.bucket, self.region, self.prefix = bucket, region, prefix
        self.access_key, self.secret_key = KEYS
        self.checker = Checker(self.access_key, self.secret_key, region)
        self.objects: dict[str, Object] = {}
        self.calls: list[tuple[str, str]] = []
        """Method and key of each request, refused ones too."""
        self.refusals: list[str] = []
        self._faults: deque[tuple[str, str]] = deque()

    @property
    def endpoint(self) -> str:
        """The address before the bucket."""
        return self.address

    @property
    def url(self) -> str:
        """The value of ``MEDIA_URL``."""
        name = f"{self.bucket}/{self.prefix}".rstrip("/")
        return f"s3://{name}?endpoint={self.endpoint}&region={self.region}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables that name the bucket and its keys."""
        return {
            "MEDIA_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def fail(self, fault: str, *, times: int = 1, method: str = "") -> None:
        """Make the next ``times`` requests fail, those of one method if it is given.

        The method of a list of objects is ``LIST`` here.
        """
        if fault not in FAULTS:
            raise ValueError(f"{fault} is none of {', '.join(FAULTS)}")
        with self._lock:
            self._faults.extend([(fault, method)] * times)

    def recover(self) -> None:
        """Forget the faults."""
        with self._lock:
            self._faults.clear()

    def next_fault(self, method: str) -> str:
        """Return the fault that a request meets, and forget it."""
        with self._lock:
            if self._faults and self._faults[0][1] in ("", method):
                return self._faults.popleft()[0]
            return ""


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(FakeHandler):
    disable_nagle_algorithm = True

    def answer(self) -> None:
        fake = self.server.fake
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = SignedRequest(self.command, path, query, headers, body)
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        fake.calls.append((self.command, key))
        fault = fake.next_fault(self.command if key else "LIST")
        if fault == "slow":
            fake.closing.wait(1)
        if fault == "silent":
            fake.closing.wait(60)
        if fault in ("reset", "silent"):
            self.reset()
            return
        try:
            fake.checker.check(request, datetime.now(UTC))
            if fault == "http_403":
                raise _Refusal(403, "AccessDenied", f"key {fake.secret_key} may not")
            if fault == "http_503":
                raise _Refusal(503, "SlowDown", "Please reduce your request rate.")
            if bucket != fake.bucket:
                raise _Refusal(404, "NoSuchBucket", "The specified bucket does not exist")
            self._do(request, key, fault)
        except BadSignature as refusal:
            self._refuse(refusal.status, refusal.code, str(refusal), key)
        except _Refusal as refusal:
            self._refuse(refusal.status, refusal.code, str(refusal), key)

    def _do(self, request: SignedRequest, key: str, fault: str) -> None:
        fake, query = self.server.fake, dict(request.pairs)
        if not key:
            if self.command != "GET" or query.get("list-type") != "2":
                raise _Refusal(501, "NotImplemented")
            self._send(200, _listed(fake, query), {"Content-Type": "application/xml"})
        elif self.command == "PUT":
            kind = request.headers.get("content-type", "binary/octet-stream")
            stored = Object(request.body, kind, request.headers)
            fake.objects[key] = stored
            if fault == "lost":
                self.reset()
                return
            self._send(200, b"", {"ETag": stored.etag})
        elif self.command == "DELETE":
            fake.objects.pop(key, None)
            self._send(204, b"", {})
        elif self.command in ("GET", "HEAD"):
            self._read(request, key, damaged=fault == "damaged")
        else:
            raise _Refusal(405, "MethodNotAllowed")

    def _read(self, request: SignedRequest, key: str, *, damaged: bool) -> None:
        stored = self.server.fake.objects.get(key)
        if stored is None:
            raise _Refusal(404, "NoSuchKey", "The specified key does not exist.")
        data, status = stored.data, 200
        headers = {
            "Content-Type": stored.content_type,
            "ETag": stored.etag,
            "Last-Modified": "Sat, 21 Nov 2026 12:00:00 GMT",
            "Accept-Ranges": "bytes",
        }
        for name, value in request.pairs:
            if given := _RESPONSE.fullmatch(name):
                headers[given.group(1).title()] = value
        if part := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")):
            first = int(part.group(1))
            last = min(int(part.group(2) or len(data)), len(data) - 1)
            if first >= len(data):
                raise _Refusal(416, "InvalidRange", "The requested range is not satisfiable")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        if damaged:
            data = bytes([data[0] ^ 1]) + data[1:]
        self._send(status, data, headers)

    def _refuse(self, status: int, code: str, message: str, key: str) -> None:
        self.server.fake.refusals.append(code)
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
            f"<Key>{escape(key)}</Key><RequestId>4442587FB7D0A2F9</RequestId></Error>"
        )
        self._send(status, body.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("x-amz-request-id", "4442587FB7D0A2F9")  # pragma: allowlist secret
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:
            self.close_connection = True


def _listed(fake: FakeS3, query: Mapping[str, str]) -> bytes:
    """Return a page of ListObjectsV2, in the order of the keys' bytes."""
    after = query.get("continuation-token", query.get("start-after", ""))
    prefix = query.get("prefix", "")
    keys = sorted(key for key in list(fake.objects) if key.startswith(prefix) and key > after)
    page, more = keys[:PAGE], len(keys) > PAGE
    contents = "".join(
        f"<Contents><Key>{quote(key, safe='/') if 'encoding-type' in query else escape(key)}</Key>"
        f"<LastModified>2026-11-21T12:00:00.000Z</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.data)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key in page
        if (stored := fake.objects.get(key))
    )
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{fake.bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
        f"<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{contents}{token}"
        "</ListBucketResult>"
    ).encode()
