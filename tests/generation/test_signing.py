"""Signed provenance: a file without a mark gets a C2PA manifest, and every other stays as it is."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier
from flask import Flask
from structlog.testing import capture_logs

from creditapp.config import Settings, SettingsInvalid, load_settings
from creditapp.generation import provenance, thumbnails
from creditapp.generation.signing import CERTIFICATE_USAGES, NoSigner, Signer, signer_of
from creditapp.media import Media
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.databases import at_once
from tests.generation import delivered
from tests.generation.studio import Scripted, Studio
from tests.generation.test_provenance import SOURCE_TYPE, chunks, frames

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
SIGNER_KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(
    name: str, key: Key, *, days: int = 9, ca: bool = False, usage: str = CERTIFICATE_USAGES[0]
) -> bytes:
    """Return a certificate that the root issued, valid until ``days`` from now."""
    now = datetime.now(UTC)
    unused = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment"), False)
    unused |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **unused),
            critical=True,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT_KEY.public_key()),
            critical=False,
        )
    )
    if not ca:
        usages = x509.ExtendedKeyUsage([ObjectIdentifier(usage)])
        builder = builder.add_extension(usages, critical=False)
    return builder.sign(ROOT_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem(
    key: Key | dsa.DSAPrivateKey,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    password: bytes | None = None,
) -> bytes:
    secrecy = serialization.BestAvailableEncryption(password) if password else None
    return key.private_bytes(
        serialization.Encoding.PEM, form, secrecy or serialization.NoEncryption()
    )


ROOT = certificate("Root", ROOT_KEY, ca=True)
CHAIN = certificate("Signer", SIGNER_KEY) + ROOT


def settings_of(folder: Path, certificates: bytes | None, key: bytes | None) -> Settings:
    """Return settings that name files with this content."""
    environ = {"CREDITAPP_DATA": str(folder)}
    for name, content in (("CERTIFICATE", certificates), ("KEY", key)):
        if content is not None:
            path = folder / f"{name}.pem"
            path.write_bytes(content)
            environ[f"CREDITAPP_C2PA_{name}"] = str(path)
    return load_settings(environ)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return signer_of(settings_of(tmp_path, CHAIN, pem(SIGNER_KEY)))


def read(data: bytes, mime_type: str) -> tuple[str, list[str], dict[str, Any]]:
    """Return what the library finds: the state, what failed, and the manifest."""
    trust = {
        "trust": {"trust_anchors": ROOT.decode(), "trust_config": "\n".join(CERTIFICATE_USAGES)}
    }
    with (
        c2pa.Context.from_dict(trust) as context,
        c2pa.Reader(mime_type, io.BytesIO(data), context=context) as reader,
    ):
        results = reader.get_validation_results()
        assert results is not None
        failures = [failure["code"] for failure in results["activeManifest"]["failure"]]
        manifests = json.loads(reader.json())["manifests"]
        assert len(manifests) == 1
        return reader.get_validation_state() or "", failures, *manifests.values()


def labels(manifest: dict[str, Any]) -> set[str]:
    return {assertion["label"] for assertion in manifest["assertions"]}


def action_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the only action of a manifest."""
    (actions,) = (
        assertion["data"]["actions"]
        for assertion in manifest["assertions"]
        if assertion["label"] == "c2pa.actions.v2"
    )
    (action,) = actions
    assert isinstance(action, dict)
    return action


@pytest.mark.parametrize("name", delivered.UNMARKED)
def test_each_format_gets_a_manifest_that_the_library_trusts(signer: Signer, name: str) -> None:
    mime_type, data = delivered.UNMARKED[name]
    marked = provenance.with_mark(data, mime_type)
    signed = signer.sign(marked, mime_type, "Nano Banana")
    state, failures, manifest = read(signed, mime_type)
    assert (state, failures) == ("Trusted", [])
    (generator,) = manifest["claim_generator_info"]
    assert generator["name"] == "CreditApp"
    assert labels(manifest) - {"c2pa.hash.bmff.v3"} == {"c2pa.actions.v2"}, "it says no more"
    assert action_of(manifest) == {
        "action": "c2pa.created",
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": {"name": "Nano Banana"},
    }
    assert "thumbnail" not in manifest
    assert provenance.PACKET in signed, "for readers that know no C2PA"
    assert provenance.with_mark(signed, mime_type) is signed, "it has a mark now"
    if not mime_type.startswith("image/"):
        assert frames(signed) == frames(data)


def test_the_manifest_is_where_the_specification_puts_it(signer: Signer) -> None:
    mime_type, data = delivered.UNMARKED["PNG"]
    marked = provenance.with_mark(data, mime_type)
    signed = signer.sign(marked, mime_type, None)
    added = [chunk for chunk in chunks(signed) if chunk[0] == b"caBX"]
    assert [chunk for chunk in chunks(signed) if chunk[0] != b"caBX"] == [*chunks(marked)]
    assert len(added) == 1
    inside = dict(boxes(added[0][1]))
    assert inside["c2pa"].startswith(delivered.C2PA_TYPE)
    assert SOURCE_TYPE.encode() in inside["c2pa.actions.v2"]
    assert b"CreditApp" in inside["c2pa.claim.v2"]
    assert (
        x509.load_pem_x509_certificate(CHAIN).public_bytes(serialization.Encoding.DER)
        in inside["c2pa.signature"]
    )


def boxes(jumbf: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the label and the content of each superbox (ISO 19566-5), and of those within it."""
    place = 0
    while place < len(jumbf):
        size, kind = int.from_bytes(jumbf[place : place + 4]), jumbf[place + 4 : place + 8]
        content = jumbf[place + 8 : place + size]
        if kind == b"jumb":
            description = int.from_bytes(content[:4])
            yield content[25:].partition(b"\0")[0].decode(), content[8:]
            yield from boxes(content[description:])
        place += size


def test_another_pixel_makes_the_signature_invalid(signer: Signer) -> None:
    mime_type, data = delivered.UNMARKED["WebP"]
    signed = bytearray(signer.sign(data, mime_type, None))
    signed[signed.index(b"VP8 ") + 30] ^= 1
    state, failures, _ = read(bytes(signed), mime_type)
    assert (state, failures) == ("Invalid", ["assertion.dataHash.mismatch"])


def test_several_workers_sign_at_once(signer: Signer) -> None:
    mime_type, data = delivered.UNMARKED["JPEG"]
    signed = at_once(8, lambda number: signer.sign(data, mime_type, f"Model {number}"))
    actions = [action_of(read(each, mime_type)[2]) for each in signed if isinstance(each, bytes)]
    assert {action["softwareAgent"]["name"] for action in actions} == {
        f"Model {n}" for n in range(8)
    }


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "P-521", "Ed25519", "RSA"],
)
def test_the_key_chooses_the_algorithm(tmp_path: Path, key: Key) -> None:
    chain = certificate("Signer", key) + ROOT
    mime_type, data = delivered.UNMARKED["PNG"]
    signed = signer_of(settings_of(tmp_path, chain, pem(key))).sign(data, mime_type, None)
    assert read(signed, mime_type)[0] == "Trusted"


def test_a_certificate_for_claims_alone_signs_too(tmp_path: Path) -> None:
    chain = certificate("Signer", SIGNER_KEY, usage=CERTIFICATE_USAGES[1]) + ROOT
    mime_type, data = delivered.UNMARKED["PNG"]
    signer = signer_of(settings_of(tmp_path, chain, pem(SIGNER_KEY)))
    assert read(signer.sign(data, mime_type, None), mime_type)[0] == "Trusted"


def test_a_key_in_the_form_of_openssl_signs_too(tmp_path: Path) -> None:
    key = pem(SIGNER_KEY, serialization.PrivateFormat.TraditionalOpenSSL)
    assert key.startswith(b"-----BEGIN EC ")
    signer_of(settings_of(tmp_path, CHAIN, key))


def test_without_a_certificate_nothing_is_signed(tmp_path: Path) -> None:
    signer = signer_of(settings_of(tmp_path, None, None))
    assert isinstance(signer, NoSigner)
    assert signer.sign(b"as it is", "image/png", "Nano Banana") == b"as it is"


NO_KEY = "CREDITAPP_C2PA_KEY is not a private key in PEM without a password."
REFUSED: dict[str, tuple[bytes | None, bytes | None, str]] = {
    "no key": (CHAIN, None, "CREDITAPP_C2PA_KEY is missing: CREDITAPP_C2PA_CERTIFICATE needs it."),
    "no certificate": (
        *(None, pem(SIGNER_KEY)),
        "CREDITAPP_C2PA_CERTIFICATE is missing: CREDITAPP_C2PA_KEY needs it.",
    ),
    "a key that is none": (CHAIN, b"x", NO_KEY),
    "a key with a password": (CHAIN, pem(SIGNER_KEY, password=b"x"), NO_KEY),
    "a key of another kind": (
        *(CHAIN, pem(dsa.generate_private_key(1024))),
        "CREDITAPP_C2PA_KEY is of a kind that C2PA does not know: use one on the curve P-256.",
    ),
    "the key of another": (CHAIN, pem(ROOT_KEY), "cannot sign: "),
    "a certificate that is none": (b"x", pem(SIGNER_KEY), "cannot sign: "),
    "a certificate for the web": (
        *(
            certificate("Site", SIGNER_KEY, usage="1.3.6.1.5.5.7.3.1"),
            pem(SIGNER_KEY),
            "cannot sign: ",
        ),
    ),
    "an old certificate": (
        *(certificate("Signer", SIGNER_KEY, days=-1), pem(SIGNER_KEY)),
        "cannot sign: Signature: the certificate was not valid at time of signing.",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_sign_stops_the_start_with_one_line(tmp_path: Path, what: str) -> None:
    certificates, key, line = REFUSED[what]
    with pytest.raises(SettingsInvalid) as raised:
        signer_of(settings_of(tmp_path, certificates, key))
    said = str(raised.value)
    assert line in said
    assert said.startswith("CREDITAPP_C2PA_")
    assert "\n" not in said


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, CHAIN, pem(SIGNER_KEY))
    (tmp_path / "KEY.pem").unlink()
    with pytest.raises(SettingsInvalid, match=r"^CREDITAPP_C2PA_KEY cannot be read: No such file"):
        signer_of(settings)


def test_without_the_extra_a_certificate_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(SettingsInvalid, match="needs the extra provenance, which is not installed"):
        signer_of(settings_of(tmp_path, CHAIN, pem(SIGNER_KEY)))


def stored(studio: Studio) -> tuple[bytes, str]:
    """Return the bytes and the type of the only file."""
    (asset,) = studio.assets()
    with studio.app.app_context(), get(Media).open(asset.media_key) as file:
        return file.read(), asset.mime_type


@pytest.mark.parametrize("is_preview", [False, True])
def test_a_generation_is_delivered_signed_and_says_nothing_of_its_owner(
    app: Flask,
    alice: Person,
    studio: Studio,
    provider: Scripted,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
    is_preview: bool,
) -> None:
    provide(app, Signer, signer)
    provider.data = delivered.image("PNG")
    generation_id = studio.ask(alice, prompt="a fox in the snow")
    if not is_preview:
        studio.set(generation_id, preview=False)
    studio.work(generation_id)
    data, mime_type = stored(studio)
    state, _, manifest = read(data, mime_type)
    assert state == "Trusted"
    agent = None if is_preview else {"name": studio.generation(generation_id).model_name}
    assert action_of(manifest).get("softwareAgent") == agent
    for private in ("fox", "alice", studio.generation(generation_id).owner_id, generation_id):
        assert private.encode() not in data


def test_a_file_with_a_mark_is_delivered_byte_for_byte(
    app: Flask, alice: Person, studio: Studio, provider: Scripted, signer: Signer
) -> None:
    provide(app, Signer, signer)
    provider.mime_type, provider.data = delivered.MARKED["PNG with C2PA"]
    studio.work(studio.ask(alice))
    assert stored(studio) == (provider.data, provider.mime_type)


def test_a_file_that_cannot_be_signed_is_delivered_with_the_mark(
    app: Flask, alice: Person, studio: Studio, provider: Scripted
) -> None:
    class Failing(NoSigner):
        def sign(self, data: bytes, mime_type: str, model_name: str | None) -> bytes:
            raise c2pa.C2paError("a fox in the snow")

    provide(app, Signer, Failing())
    provider.data = delivered.image("PNG")
    generation_id = studio.ask(alice)
    with capture_logs() as logs:
        studio.work(generation_id)
    assert studio.generation(generation_id).state == "succeeded"
    assert stored(studio)[0] == provenance.with_mark(provider.data, "image/png")
    (line,) = (line for line in logs if line["event"] == "not signed")
    assert line["generation"] == generation_id
    assert "test_signing.py" in str(line["at"]), "where"
    assert "a fox in the snow" not in str(logs)


def test_a_thumbnail_keeps_no_manifest(signer: Signer) -> None:
    mime_type, data = delivered.UNMARKED["PNG"]
    thumbnail = thumbnails.make(signer.sign(data, mime_type, None), mime_type)
    assert thumbnail is not None
    assert b"C2PA" not in thumbnail
    assert provenance.PACKET in thumbnail
