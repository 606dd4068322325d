"""The stand-in's signatures are Amazon's: the examples of the S3 API reference, word for word."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.s3_server import KEYS
from tests.fakes.s3_signatures import BadSignature, Checker, SignedRequest

AT = datetime(2013, 5, 24, tzinfo=UTC)
# pragma: allowlist nextline secret
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
AMAZON = Checker(*KEYS, region="us-east-1")
SCOPE = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"  # pragma: allowlist secret


def by_headers(
    method: str,
    path: str,
    signature: str,
    query: str = "",
    body: bytes = b"",
    payload: str = EMPTY,
    **headers: str,
) -> SignedRequest:
    """Return a request of "Signature Calculations for the Authorization Header"."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named |= {
        "host": "examplebucket.s3.amazonaws.com",
        "x-amz-content-sha256": payload,
        "x-amz-date": "20130524T000000Z",
    }
    named.setdefault("date", "")
    if not named["date"]:
        del named["date"]
    named["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={';'.join(sorted(named))},"
        f"Signature={signature}"
    )
    return SignedRequest(method, path, query, named, body)


EXAMPLES = {
    "GET Object": by_headers(
        "GET",
        "/test.txt",
        # pragma: allowlist nextline secret
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        range="bytes=0-9",
    ),
    "PUT Object": by_headers(
        "PUT",
        "/test%24file.text",
        # pragma: allowlist nextline secret
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        body=b"Welcome to Amazon S3.",
        # pragma: allowlist nextline secret
        payload="44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        date="Fri, 24 May 2013 00:00:00 GMT",
        x_amz_storage_class="REDUCED_REDUNDANCY",
    ),
    "GET Bucket Lifecycle": by_headers(
        "GET",
        "/",
        # pragma: allowlist nextline secret
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        query="lifecycle",
    ),
    "List Objects": by_headers(
        "GET",
        "/",
        # pragma: allowlist nextline secret
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        query="max-keys=2&prefix=J",
    ),
    "presigned GET": SignedRequest(
        "GET",
        "/test.txt",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        # pragma: allowlist nextline secret
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        {"host": "examplebucket.s3.amazonaws.com"},
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documented_signatures_are_right(name: str) -> None:
    AMAZON.check(EXAMPLES[name], AT)


@pytest.mark.parametrize("name", EXAMPLES)
def test_anything_else_under_such_a_signature_is_refused(name: str) -> None:
    request = EXAMPLES[name]
    for change in (
        {"method": "DELETE"},
        {"path": "/other.txt"},
        {"query": f"{request.query}&prefix=other"},
        {"headers": {**request.headers, "host": "other.s3.amazonaws.com"}},
    ):
        with pytest.raises(BadSignature) as refusal:
            AMAZON.check(dataclasses.replace(request, **change), AT)
        assert refusal.value.code == "SignatureDoesNotMatch"


def test_other_bodies_keys_and_times_are_refused() -> None:
    put, link = EXAMPLES["PUT Object"], EXAMPLES["presigned GET"]
    stranger = Checker("AKIAOTHER", "secret", "us-east-1")
    elsewhere = Checker(*KEYS, region="eu-central-1")
    unsigned = SignedRequest("GET", "/test.txt", "", {"host": "examplebucket.s3.amazonaws.com"})
    hour = timedelta(hours=1)
    for checker, request, moment, code in (
        (AMAZON, dataclasses.replace(put, body=b"else"), AT, "XAmzContentSHA256Mismatch"),
        (AMAZON, put, AT + hour, "RequestTimeTooSkewed"),
        (AMAZON, link, AT + 25 * hour, "AccessDenied"),
        (AMAZON, link, AT - hour, "AccessDenied"),
        (AMAZON, unsigned, AT, "AccessDenied"),
        (stranger, link, AT, "InvalidAccessKeyId"),
        (elsewhere, link, AT, "AuthorizationHeaderMalformed"),
    ):
        with pytest.raises(BadSignature) as refusal:
            checker.check(request, moment)
        assert refusal.value.code == code
