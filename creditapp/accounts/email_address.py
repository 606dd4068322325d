"""Email addresses: as typed, a key for uniqueness, and a hash of the person."""

from __future__ import annotations

import re
from dataclasses import dataclass

import idna

from creditapp.accounts.hashing import keyed_hash
from creditapp.errors import ValidationFailed

ADDRESS_CHARACTERS_MAX = 254
"""The longest address that an email path can carry. Source: RFC 5321, errata 1690."""

_LOCAL_CHARACTERS_MAX = 64
# The unquoted form of RFC 5322; quoted local parts are legal, unused, and a way to smuggle.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")

# Other names of one provider's mailboxes. Sources: Google, "Dots don't matter in Gmail addresses";
# Proton, "Addresses and aliases"; Apple, "If your address is @icloud.com, @me.com or @mac.com".
_SAME_MAILBOX = {
    "googlemail.com": "gmail.com",
    "protonmail.com": "proton.me",
    "protonmail.ch": "proton.me",
    "pm.me": "proton.me",
    "me.com": "icloud.com",
    "mac.com": "icloud.com",
}
_IGNORED_CHARACTERS = {"gmail.com": ".", "proton.me": ".-_"}
# Yahoo: a disposable address is a base name, "-" and a word; no account's name has a "-".
_HYPHEN_TAGS = re.compile(r"(yahoo(\.[a-z]{2,3}){1,2}|ymail\.com|rocketmail\.com)")
# Fastmail, "Subdomain addressing": what@name.fastmail.com is an address of name@fastmail.com.
_SUBDOMAINS = re.compile(r"([^.]+)\.(fastmail\.(?:com|fm))")


class AddressInvalid(ValueError):
    """An invalid email address; the message is a sentence for people."""


@dataclass(frozen=True)
class Address:
    """An email address that can receive email."""

    typed: str
    """As its owner wrote it, without the spaces around it."""
    key: str
    """Lower case, the domain in its ASCII form: two spellings of one mailbox have one key."""

    @property
    def deliverable(self) -> str:
        """The form to send to: the local part as typed, the domain in its ASCII form."""
        return f"{self.typed.rpartition('@')[0]}@{self.key.rpartition('@')[2]}"

    @property
    def person(self) -> str:
        """The address without what one person may vary at will.

        A tag behind ``+`` is dropped everywhere, and what some providers ignore besides: dots,
        another of their domains, a subdomain. Each would be worth the welcome credits again.
        """
        local, _, domain = self.key.rpartition("@")
        if owner := _SUBDOMAINS.fullmatch(domain):
            local, domain = owner[1], owner[2]
        domain = _SAME_MAILBOX.get(domain, domain)
        # An address that begins with the sign has no untagged form to fall back to.
        local = local.partition("+")[0] or local
        if _HYPHEN_TAGS.fullmatch(domain):
            local = local.partition("-")[0] or local
        for ignored in _IGNORED_CHARACTERS.get(domain, ""):
            local = local.replace(ignored, "") or local
        return f"{local}@{domain}"

    def person_hash(self, secret: str) -> str:
        """Return what stands for the person and may outlive the account."""
        return keyed_hash(secret, "person", self.person)


def parse_address(text: str) -> Address:
    """Return the address that ``text`` names; raise ``AddressInvalid`` for anything else.

    The part before the ``@`` is ASCII: few servers accept another, and look-alike letters would
    let one person's address pass for another's. The domain may be international (IDNA 2008): its
    look-alikes are mapped to the name that is written to, so they cannot part key and mailbox.
    """
    typed = text.strip()
    if not typed:
        raise AddressInvalid("Enter an email address.")
    if len(typed) > ADDRESS_CHARACTERS_MAX:
        raise AddressInvalid(f"An email address has at most {ADDRESS_CHARACTERS_MAX} characters.")
    local, at, domain = typed.rpartition("@")
    # Matched as typed and lowered after: the Kelvin sign (U+212A) is not ASCII, but lowered it is
    # a "k". Typing it would claim another's address and get its emails.
    if not at or not _LOCAL.fullmatch(local) or len(local) > _LOCAL_CHARACTERS_MAX:
        raise AddressInvalid("Enter an email address such as name@example.com.")
    key = f"{local.lower()}@{_ascii_domain(domain)}"
    if len(key) > ADDRESS_CHARACTERS_MAX:
        raise AddressInvalid(f"An email address has at most {ADDRESS_CHARACTERS_MAX} characters.")
    return Address(typed=typed, key=key)


def find_address(text: str) -> Address | None:
    """Return the address that ``text`` names, or None where it names none."""
    try:
        return parse_address(text)
    except AddressInvalid:
        return None


def address_field(text: str) -> Address:
    """Return the address of a form's field ``email``; raise ``ValidationFailed`` for that field."""
    try:
        return parse_address(text)
    except AddressInvalid as error:
        raise ValidationFailed.of("email", str(error)) from None


def _ascii_domain(domain: str) -> str:
    try:
        name = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise AddressInvalid("The part after the @ is not the name of an email server.") from None
    # "localhost" and bare names are no public email domains; nor are dotted numbers.
    if "." not in name.strip(".") or name.endswith(".") or name.rpartition(".")[2].isdigit():
        raise AddressInvalid("The part after the @ needs an ending such as example.com.")
    return name
