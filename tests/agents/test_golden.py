"""Golden vectors: the exact token and receipt of known facts, for machines without Node.

``tests/interop/test_ack.py`` has the Agent Commerce Kit verify such texts. A change of these here
is a change of what earlier receipts look like.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from creditapp.agents import tokens
from creditapp.agents.identity import Identity
from creditapp.agents.models import PaymentRequest, Settlement

SITE = "https://credits.example:8443"
DID = "did:web:credits.example%3A8443"
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PAYER = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"

TOKEN = (
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3OTUyNjI0MDAsImV4cCI6MTc5NTI2MzMwMCwiaWQiOiJ"
    "wcnFfMDZmMmswMDAwMDAwMDAwMDAwMDAwMDAwYWEiLCJkZXNjcmlwdGlvbiI6IlB1cmNoYXNlIG9mIDMgaW1hZ2UgZ2V"
    "uZXJhdGlvbiBjcmVkaXRzIiwic2VydmljZUNhbGxiYWNrIjoiaHR0cHM6Ly9jcmVkaXRzLmV4YW1wbGU6ODQ0My9hcGk"
    "vaW1hZ2VzL2dlbmVyYXRlIiwiZXhwaXJlc0F0IjoiMjAyNi0xMS0yMVQxMjoxNTowMC4wMDBaIiwicGF5bWVudE9wdGl"
    "vbnMiOlt7ImlkIjoic2FuZGJveCIsImFtb3VudCI6MzAwLCJkZWNpbWFscyI6MiwiY3VycmVuY3kiOiJVU0QiLCJyZWN"
    "pcGllbnQiOiJkaWQ6d2ViOmNyZWRpdHMuZXhhbXBsZSUzQTg0NDMiLCJwYXltZW50U2VydmljZSI6Imh0dHBzOi8vY3J"
    "lZGl0cy5leGFtcGxlOjg0NDMvYXBpL2FnZW50cy9zYW5kYm94LXBheW1lbnRzIiwicmVjZWlwdFNlcnZpY2UiOiJodHR"
    "wczovL2NyZWRpdHMuZXhhbXBsZTo4NDQzL2FwaS9hY2svcmVjZWlwdHMifV0sInN1YiI6InBycV8wNmYyazAwMDAwMDA"
    "wMDAwMDAwMDAwMDBhYSIsImlzcyI6ImRpZDp3ZWI6Y3JlZGl0cy5leGFtcGxlJTNBODQ0MyJ9.UVWBAfSudVoBWACo7J"
    "CgMORHn8Ff8I8Eudsp7ecuK4pnnifphsX8Wg5PX4G-wzEKJ_RFkGJJ0R2m9ntNf9x9AQ"
)
RECEIPT = (
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJ2YyI6eyJAY29udGV4dCI6WyJodHRwczovL3d3dy53My5vcmcvMjA"
    "xOC9jcmVkZW50aWFscy92MSJdLCJ0eXBlIjpbIlZlcmlmaWFibGVDcmVkZW50aWFsIiwiUGF5bWVudFJlY2VpcHRDcmV"
    "kZW50aWFsIl0sImNyZWRlbnRpYWxTdWJqZWN0Ijp7InBheW1lbnRSZXF1ZXN0VG9rZW4iOiJleUpoYkdjaU9pSkZaRVJ"
    "UUVNJc0luUjVjQ0k2SWtwWFZDSjkuZXlKcFlYUWlPakUzT1RVeU5qSTBNREFzSW1WNGNDSTZNVGM1TlRJMk16TXdNQ3d"
    "pYVdRaU9pSndjbkZmTURabU1tc3dNREF3TURBd01EQXdNREF3TURBd01EQXdZV0VpTENKa1pYTmpjbWx3ZEdsdmJpSTZ"
    "JbEIxY21Ob1lYTmxJRzltSURNZ2FXMWhaMlVnWjJWdVpYSmhkR2x2YmlCamNtVmthWFJ6SWl3aWMyVnlkbWxqWlVOaGJ"
    "HeGlZV05ySWpvaWFIUjBjSE02THk5amNtVmthWFJ6TG1WNFlXMXdiR1U2T0RRME15OWhjR2t2YVcxaFoyVnpMMmRsYm1"
    "WeVlYUmxJaXdpWlhod2FYSmxjMEYwSWpvaU1qQXlOaTB4TVMweU1WUXhNam94TlRvd01DNHdNREJhSWl3aWNHRjViV1Z"
    "1ZEU5d2RHbHZibk1pT2x0N0ltbGtJam9pYzJGdVpHSnZlQ0lzSW1GdGIzVnVkQ0k2TXpBd0xDSmtaV05wYldGc2N5STZ"
    "NaXdpWTNWeWNtVnVZM2tpT2lKVlUwUWlMQ0p5WldOcGNHbGxiblFpT2lKa2FXUTZkMlZpT21OeVpXUnBkSE11WlhoaGJ"
    "YQnNaU1V6UVRnME5ETWlMQ0p3WVhsdFpXNTBVMlZ5ZG1salpTSTZJbWgwZEhCek9pOHZZM0psWkdsMGN5NWxlR0Z0Y0d"
    "4bE9qZzBORE12WVhCcEwyRm5aVzUwY3k5ellXNWtZbTk0TFhCaGVXMWxiblJ6SWl3aWNtVmpaV2x3ZEZObGNuWnBZMlV"
    "pT2lKb2RIUndjem92TDJOeVpXUnBkSE11WlhoaGJYQnNaVG80TkRRekwyRndhUzloWTJzdmNtVmpaV2x3ZEhNaWZWMHN"
    "Jbk4xWWlJNkluQnljVjh3Tm1ZeWF6QXdNREF3TURBd01EQXdNREF3TURBd01EQmhZU0lzSW1semN5STZJbVJwWkRwM1p"
    "XSTZZM0psWkdsMGN5NWxlR0Z0Y0d4bEpUTkJPRFEwTXlKOS5VVldCQWZTdWRWb0JXQUNvN0pDZ01PUkhuOEZmOEk4RXV"
    "kc3A3ZWN1SzRwbm5pZnBoc1g4V2c1UFg0Ry13ekVLSl9SRmtHSkowUjJtOW50TmY5eDlBUSIsInBheW1lbnRPcHRpb25"
    "JZCI6InNhbmRib3giLCJtZXRhZGF0YSI6eyJyYWlsIjoic2FuZGJveCIsInJlZmVyZW5jZSI6InNhbmRib3gtMSIsImx"
    "pdmVtb2RlIjpmYWxzZX19fSwic3ViIjoiZGlkOmtleTp6Nk1raGFYZ0JaRHZvdERrTDUyNTdmYWl6dGlHaUMyUXRLTEd"
    "wYm5uRUd0YTJkb0siLCJuYmYiOjE3OTUyNjI0MDAsImV4cCI6MTgyNjc5ODQwMCwiaXNzIjoiZGlkOndlYjpjcmVkaXR"
    "zLmV4YW1wbGUlM0E4NDQzIn0.UocVorZ5Pg0ONZ2s6wU_Kz_Of7dlGmS2Pmm3AfFJHCmXLHJQcbNpQeq6sIF8Gk9gMXi"
    "EsiGMsEJkXFcqCb5_Cg"
)


def decode(segment: str) -> bytes:
    """Return the bytes of a part of a JWT."""
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def verified(text: str) -> dict[str, Any]:
    """Return the claims of a JWT, verified with the DID document's key and nothing of ours."""
    head, claims, signature = text.split(".")
    (method,) = Identity(SITE, KEY).did_document()["verificationMethod"]
    key = Ed25519PublicKey.from_public_bytes(decode(method["publicKeyJwk"]["x"]))
    key.verify(decode(signature), f"{head}.{claims}".encode())
    assert json.loads(decode(head)) == {"alg": "EdDSA", "typ": "JWT"}
    return dict(json.loads(decode(claims)))


def request() -> PaymentRequest:
    """Return the payment request of the vectors."""
    return PaymentRequest(
        id="prq_06f2k0000000000000000000aa",
        count=3,
        price_minor=300,
        currency="USD",
        created_at=AT,
        expires_at=AT + timedelta(minutes=15),
        options=[
            {
                "id": "sandbox",
                "amount": 300,
                "decimals": 2,
                "currency": "USD",
                "recipient": DID,
                "paymentService": f"{SITE}/api/agents/sandbox-payments",
                "receiptService": f"{SITE}/api/ack/receipts",
            }
        ],
    )


def test_the_token_of_known_facts() -> None:
    assert tokens.payment_request_token(Identity(SITE, KEY), request(), SITE) == TOKEN
    assert verified(TOKEN) == {
        "iat": 1795262400,
        "exp": 1795263300,
        "id": "prq_06f2k0000000000000000000aa",
        "description": "Purchase of 3 image generation credits",
        "serviceCallback": f"{SITE}/api/images/generate",
        "expiresAt": "2026-11-21T12:15:00.000Z",
        "paymentOptions": request().options,
        "sub": "prq_06f2k0000000000000000000aa",
        "iss": DID,
    }


def test_the_receipt_of_known_facts() -> None:
    settlement = Settlement(
        rail="sandbox",
        ref="sandbox-1",
        option_id="sandbox",
        payer=PAYER,
        livemode=False,
        created_at=AT,
        expires_at=AT + timedelta(days=365),
    )
    assert tokens.receipt(Identity(SITE, KEY), settlement, TOKEN) == RECEIPT
    assert verified(RECEIPT) == {
        "vc": {
            "@context": ["https://www.w3.org/2018/credentials/v1"],
            "type": ["VerifiableCredential", "PaymentReceiptCredential"],
            "credentialSubject": {
                "paymentRequestToken": TOKEN,
                "paymentOptionId": "sandbox",
                "metadata": {"rail": "sandbox", "reference": "sandbox-1", "livemode": False},
            },
        },
        "sub": PAYER,
        "nbf": 1795262400,
        "exp": 1826798400,
        "iss": DID,
    }
