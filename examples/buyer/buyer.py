"""A program that buys image credits, pays, and makes images of presidents of the 19th century.

It has no account: it asks, gets a signed offer with status 402, checks it, pays no more than its
budget, and uses the receipt. It knows nothing of the server's code.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import sys
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

try:
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError as error:
    sys.exit(f"{error.name} is missing. Use the seller's: .venv/bin/python examples/buyer/buyer.py")

FOLDER = Path(__file__).resolve().parent
SECONDS_MAX = 60
CARD_SECONDS_MAX = 900
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/svg+xml": "svg"}
PRESIDENTS = (
    "Thomas Jefferson",
    "James Madison",
    "Andrew Jackson",
    "Abraham Lincoln",
    "Ulysses S. Grant",
    "Grover Cleveland",
    "William McKinley",
)


class Stopped(Exception):
    """Something is not as it should be: the program ends, having paid nothing more."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def problem(self) -> str:
        """Return what the server says is wrong."""
        try:
            return str(self.json["detail"])
        except (ValueError, KeyError, TypeError):
            return f"status {self.status}"


@dataclass(frozen=True)
class Offer:
    """A payment request whose signature is the seller's."""

    token: str
    claims: dict[str, Any]
    key: Ed25519PublicKey


class Seller:
    """The site that sells, at one address."""

    def __init__(self, host: str) -> None:
        self.host = host.rstrip("/")
        self.did = f"did:web:{quote(urlsplit(host).netloc, safe='.-')}"

    def call(self, path: str, body: object = None, **headers: str) -> Answer:
        """Send JSON to a path, or get it without a body."""
        url = path if path.startswith("http") else self.host + path
        if urlsplit(url).netloc != urlsplit(self.host).netloc:
            raise Stopped(f"The offer leads to another site: {url}")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        request = urllib.request.Request(url, data, sent)  # noqa: S310  # the seller's address
        try:
            with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:  # noqa: S310
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())
        except OSError as error:
            raise Stopped(f"{self.host} does not answer: {error}") from None

    def ask(self, count: int) -> Offer:
        """Ask for credits; return the offer, once its signature is checked."""
        answer = self.call(
            "/api/images/buy", {"count": count}, Idempotency_Key=secrets.token_hex(16)
        )
        if answer.status != 402:
            raise Stopped(f"No offer: {answer.problem()}")
        token = answer.body.decode()
        key = self._key()
        return Offer(token, self.verified(token, key), key)

    def verified(self, token: str, key: Ed25519PublicKey) -> dict[str, Any]:
        """Return the claims of a text that the seller signed."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=["EdDSA"], issuer=self.did, options={"verify_sub": False}
            )
        except jwt.InvalidTokenError as error:
            raise Stopped(f"The seller's signature is not valid: {error}") from None
        return claims

    def _key(self) -> Ed25519PublicKey:
        """Return the key of the seller's DID document."""
        document = self.call("/.well-known/did.json").json
        if document.get("id") != self.did:
            raise Stopped(f"The DID document is of {document.get('id')}, not of {self.did}.")
        jwk = document["verificationMethod"][0]["publicKeyJwk"]
        if (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519"):
            raise Stopped("The seller's key is no Ed25519 key.")
        return Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(jwk["x"] + "=="))


def check_price(offer: Offer, rail: str, unit_price: Decimal, count: int, budget: Decimal) -> Any:
    """Return the option to pay; stop for another price than expected, or above the budget."""
    options = [each for each in offer.claims["paymentOptions"] if each["id"] == rail]
    if not options:
        offered = ", ".join(each["id"] for each in offer.claims["paymentOptions"])
        raise Stopped(f"The seller does not take {rail}, but {offered}.")
    price = Decimal(options[0]["amount"]).scaleb(-options[0]["decimals"])
    currency = options[0]["currency"]
    print(f"{offer.claims['description']}: {price:.2f} {currency}, by {rail}")
    if currency != "USD" or price != unit_price * count:
        raise Stopped(f"The price should be {unit_price * count:.2f} USD. Nothing was paid.")
    if price > budget:
        raise Stopped(f"That is above the budget of {budget:.2f} USD. Nothing was paid.")
    return options[0]


def pay(seller: Seller, offer: Offer, option: Any) -> str:
    """Pay an option and return the receipt, once its signature is checked."""
    service, proof = option["paymentService"], {"paymentRequestToken": offer.token}
    paid = seller.call(service, {**proof, "paymentOptionId": option["id"]})
    if paid.status != 200:
        raise Stopped(f"The payment failed: {paid.problem()}")
    if paid.json.get("notice"):
        print(paid.json["notice"])
    until = time.monotonic() + SECONDS_MAX
    if "url" in paid.json:
        print(f"Pay on this page: {paid.json['url']}")
        until += CARD_SECONDS_MAX
    while True:
        issued = seller.call(option["receiptService"], {**proof, "paymentOptionId": option["id"]})
        if issued.status == 200:
            break
        if issued.status != 503 or time.monotonic() > until:
            raise Stopped(f"No receipt: {issued.problem()}")
        time.sleep(3)
    receipt = str(issued.json["receipt"])
    claims = seller.verified(receipt, offer.key)
    if claims["vc"]["credentialSubject"]["paymentRequestToken"] != offer.token:
        raise Stopped("The receipt is of another payment request.")
    return receipt


def make_image(seller: Seller, receipt: str, name: str) -> tuple[Path, str]:
    """Make an image and save it; return its file and how many credits are left."""
    body, key = {"receipt": receipt, "name": name}, secrets.token_hex(16)
    until = time.monotonic() + 10 * SECONDS_MAX
    while True:
        # The same key and body give the same image, so that asking again costs nothing.
        answer = seller.call("/api/images/generate", body, Idempotency_Key=key)
        if answer.status == 200:
            break
        if answer.status != 202 or time.monotonic() > until:
            raise Stopped(f"No image of {name}: {answer.problem()}")
        time.sleep(2)
    folder = FOLDER / "images"
    folder.mkdir(exist_ok=True)
    extension = EXTENSIONS.get(answer.headers.get_content_type(), "bin")
    path = folder / f"{name.replace(' ', '-').replace('.', '').lower()}-{key[:6]}.{extension}"
    path.write_bytes(answer.body)
    return path, answer.headers["X-Credits-Remaining"]


def keep(receipt: str) -> Path:
    """Save the receipt for this user alone: whoever reads it can use what is left."""
    path = FOLDER / "receipt.txt"
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(receipt)
    return path


def amount(text: str) -> Decimal:
    """Return an amount of dollars."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError("write an amount such as 3.00") from None
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError("write an amount above zero")
    return value


def main() -> None:
    """Buy credits, make images, say what is left."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=3, help="credits to buy (3)")
    parser.add_argument("--images", type=int, default=2, help="images to make (2)")
    parser.add_argument("--rail", default="sandbox", choices=("sandbox", "stripe"))
    parser.add_argument("--price", type=amount, default=Decimal(1), help="of one credit (1.00 USD)")
    parser.add_argument("--budget", type=amount, default=Decimal(3), help="at most (3.00 USD)")
    chosen = parser.parse_args()
    seller = Seller(os.environ.get("PAYWALL_HOST", "http://127.0.0.1:8000"))
    try:
        offer = seller.ask(chosen.count)
        option = check_price(offer, chosen.rail, chosen.price, chosen.count, chosen.budget)
        receipt = pay(seller, offer, option)
        path, left = keep(receipt), str(chosen.count)
        for name in random.sample(PRESIDENTS, min(chosen.images, chosen.count, len(PRESIDENTS))):
            image, left = make_image(seller, receipt, name)
            print(f"{name}: {image}")
        noun = "credit is" if left == "1" else "credits are"
        print(f"{left} {noun} left on the receipt in {path}")
    except Stopped as reason:
        print(reason, file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
