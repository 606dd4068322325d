"""AWS Signature Version 4 as the server checks it, with the standard library alone.

From "Signature Calculations for the Authorization Header" and "Authenticating Requests: Using Query
Parameters" of the Amazon S3 API reference, whose examples the tests repeat.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote, unquote_plus

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = timedelta(minutes=15)
EXPIRES_SECONDS_MAX = 604_800

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{{64}})"
)


class BadSignature(Exception):
    """A request that S3 refuses, with its status and error code."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(frozen=True)
class SignedRequest:
    """Signed parts of a request: its path as it came, and its headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Return the decoded names and values of the query."""
        halves = (each.partition("=") for each in self.query.split("&") if each)
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in halves]


@dataclass(frozen=True)
class Checker:
    """Checks requests signed with one pair of keys for one region."""

    access_key: str
    secret_key: str
    region: str

    def check(self, request: SignedRequest, now: datetime) -> None:
        """Raise ``BadSignature`` unless the request is signed, in its headers or its query."""
        query = dict(request.pairs)
        if "X-Amz-Signature" in query:
            self._check_query(request, query, now)
        elif "authorization" in request.headers:
            self._check_headers(request, now)
        else:
            raise BadSignature("AccessDenied", "Access Denied")

    def _check_headers(self, request: SignedRequest, now: datetime) -> None:
        given = _AUTHORIZATION.fullmatch(request.headers["authorization"])
        if given is None:
            raise BadSignature("AuthorizationHeaderMalformed", "malformed", 400)
        credential, names, signature = given.groups()
        signed = names.split(";")
        signed_at = _date(request.headers.get("x-amz-date", ""))
        if abs(now - signed_at) > SKEW:
            raise BadSignature("RequestTimeTooSkewed", "The difference is too large.")
        unsigned = {name for name in request.headers if name.startswith("x-amz-")} - set(signed)
        if unsigned or "host" not in signed:
            raise BadSignature("AccessDenied", f"There were headers which were not signed: {names}")
        payload = request.headers.get("x-amz-content-sha256", "")
        if payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(request.body).hexdigest()):
            raise BadSignature("XAmzContentSHA256Mismatch", "The body does not match.", 400)
        self._compare(request, credential, signed, signed_at, payload, signature)

    def _check_query(self, request: SignedRequest, query: Mapping[str, str], now: datetime) -> None:
        if query.get("X-Amz-Algorithm") != ALGORITHM:
            raise BadSignature("AuthorizationQueryParametersError", "no algorithm", 400)
        signed_at = _date(query.get("X-Amz-Date", ""))
        seconds = int(query.get("X-Amz-Expires", "0"))
        if not 1 <= seconds <= EXPIRES_SECONDS_MAX:
            raise BadSignature("AuthorizationQueryParametersError", "X-Amz-Expires", 400)
        if signed_at > now + SKEW:
            raise BadSignature("AccessDenied", "Request is not yet valid")
        if now > signed_at + timedelta(seconds=seconds):
            raise BadSignature("AccessDenied", "Request has expired")
        signed = query.get("X-Amz-SignedHeaders", "").split(";")
        self._compare(
            request,
            query.get("X-Amz-Credential", ""),
            signed,
            signed_at,
            "UNSIGNED-PAYLOAD",
            query["X-Amz-Signature"],
        )

    def _compare(
        self,
        request: SignedRequest,
        credential: str,
        signed: Sequence[str],
        signed_at: datetime,
        payload: str,
        signature: str,
    ) -> None:
        access_key, _, scope = credential.partition("/")
        if access_key != self.access_key:
            raise BadSignature("InvalidAccessKeyId", "The key does not exist in our records.")
        if scope != f"{signed_at:%Y%m%d}/{self.region}/s3/aws4_request":
            raise BadSignature("AuthorizationHeaderMalformed", f"the scope {scope} is wrong", 400)
        right = self.signature(request, signed, signed_at, payload)
        if not hmac.compare_digest(right, signature):
            raise BadSignature("SignatureDoesNotMatch", "The signature does not match.")

    def signature(
        self, request: SignedRequest, signed: Sequence[str], signed_at: datetime, payload: str
    ) -> str:
        """Return the signature that the request has to have."""
        scope = f"{signed_at:%Y%m%d}/{self.region}/s3/aws4_request"
        canonical = hashlib.sha256(canonical_request(request, signed, payload).encode())
        text = f"{ALGORITHM}\n{signed_at:%Y%m%dT%H%M%SZ}\n{scope}\n{canonical.hexdigest()}"
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()


def canonical_request(request: SignedRequest, signed: Sequence[str], payload: str) -> str:
    """Return the text that is hashed and signed."""
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in request.pairs
        if name != "X-Amz-Signature"
    )
    headers = "".join(
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed
    )
    return "\n".join(
        (
            request.method,
            quote(unquote(request.path), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(signed),
            payload,
        )
    )


def _date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BadSignature("AccessDenied", "a valid date is required") from None
