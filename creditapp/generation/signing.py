"""Signed provenance: a C2PA manifest by the site's certificate, for files without a mark.

The extra ``provenance`` signs; a site without a certificate does not need it. A manifest says that
a model made the file, and which one. It says nothing of the prompt or the person.

Source: C2PA specification 2.4 (actions, claim generator, certificate profile).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final, Protocol

from creditapp.config import Settings, SettingsInvalid
from creditapp.generation.provenance import TRAINED_ALGORITHMIC_MEDIA, with_mark

CERTIFICATE: Final = "CREDITAPP_C2PA_CERTIFICATE"
KEY: Final = "CREDITAPP_C2PA_KEY"

CERTIFICATE_USAGES: Final = ("1.3.6.1.5.5.7.3.4", "1.3.6.1.4.1.62558.2.1")
"""The extended key usages of which a certificate has one: email protection or claim signing."""

_LIBRARY_SETTINGS: Final = {
    "builder": {"thumbnail": {"enabled": False}},
    "trust": {"trust_config": "\n".join(CERTIFICATE_USAGES)},
    # Nothing that a file names is fetched.
    "verify": {"remote_manifest_fetch": False},
}
_PIXEL: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)
"""A PNG of one pixel."""


class Signer(Protocol):
    """Signs delivered files that have no mark of their vendor."""

    def sign(self, data: bytes, mime_type: str, model_name: str | None) -> bytes:
        """Return the file with a signed manifest; raise whatever prevents it."""


class NoSigner:
    """Signs nothing: the site has no certificate."""

    def sign(self, data: bytes, mime_type: str, model_name: str | None) -> bytes:
        """Return the file as it is."""
        return data


class C2paSigner:
    """Embeds a manifest that a certificate signs; safe to use from several threads."""

    def __init__(self, certificates: bytes, key: bytes, algorithm: str) -> None:
        self._certificates, self._key, self._algorithm = certificates, key, algorithm

    def sign(self, data: bytes, mime_type: str, model_name: str | None) -> bytes:
        """Return the file with a manifest; raise what the library raises."""
        import c2pa

        signer = c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(self._algorithm, self._certificates, self._key, None)
        )
        signed = io.BytesIO()
        with (
            c2pa.Context.from_dict(_LIBRARY_SETTINGS, signer=signer) as context,
            c2pa.Builder(_manifest(model_name), context=context) as builder,
        ):
            builder.sign(mime_type, io.BytesIO(data), signed)
        return signed.getvalue()


def _manifest(model_name: str | None) -> dict[str, Any]:
    created: dict[str, Any] = {
        "action": "c2pa.created",
        "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
    }
    if model_name:
        created["softwareAgent"] = {"name": model_name}
    return {
        "claim_generator_info": [{"name": "CreditApp"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }


def signer_of(settings: Settings) -> Signer:
    """Return the signer that the settings choose, after it has signed once.

    Raises ``SettingsInvalid`` for half a configuration, files that cannot be read or cannot sign,
    and without the extra.
    """
    if not settings.c2pa_certificate and not settings.c2pa_key:
        return NoSigner()
    certificates = _read(CERTIFICATE, settings.c2pa_certificate, needed_by=KEY)
    key, algorithm = _private_key(_read(KEY, settings.c2pa_key, needed_by=CERTIFICATE))
    try:
        import c2pa
    except (ImportError, RuntimeError):  # the second without its native library
        raise SettingsInvalid(
            f"{CERTIFICATE} needs the extra provenance, which is not installed: "
            "docs/security.md has the line that installs it."
        ) from None
    signer = C2paSigner(certificates, key, algorithm)
    try:
        signer.sign(with_mark(_PIXEL, "image/png"), "image/png", None)
    except c2pa.C2paError as error:
        why = " ".join(str(error).split())[:200]
        raise SettingsInvalid(f"{CERTIFICATE} and {KEY} cannot sign: {why}.") from None
    return signer


def _read(name: str, path: Path | None, needed_by: str) -> bytes:
    if path is None:
        raise SettingsInvalid(f"{name} is missing: {needed_by} needs it.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsInvalid(f"{name} cannot be read: {error.strerror}.") from None


def _private_key(pem: bytes) -> tuple[bytes, str]:
    """Return a key in the form that the library reads, and the algorithm that it signs with."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # the second for one with a password
        raise SettingsInvalid(f"{KEY} is not a private key in PEM without a password.") from None
    match key:
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            algorithm = "es256"
        case ec.EllipticCurvePrivateKey(curve=ec.SECP384R1()):
            algorithm = "es384"
        case ec.EllipticCurvePrivateKey(curve=ec.SECP521R1()):
            algorithm = "es512"
        case ed25519.Ed25519PrivateKey():
            algorithm = "ed25519"
        case rsa.RSAPrivateKey():
            algorithm = "ps256"
        case _:
            raise SettingsInvalid(
                f"{KEY} is of a kind that C2PA does not know: use one on the curve P-256."
            )
    unencrypted = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, unencrypted), algorithm
