"""Credentials: people's own keys of vendors, and whether they pay with keys or with credits.

A key is encrypted for its user and vendor, shown by its last four characters, and sent to its
vendor alone. The verbs take the caller's session and never commit.
"""

from creditapp.credentials.encryption import Undecryptable, decrypt, encrypt
from creditapp.credentials.keys import (
    SETTINGS_URL,
    MissingApiKey,
    find_key,
    list_keys,
    list_vendors,
    note_problem,
    parse_key,
    reencrypt_keys,
    remove_key,
    remove_keys,
    store_key,
)
from creditapp.credentials.mode import choose_mode
from creditapp.credentials.models import EMPTY, REFUSED, ProviderKey
from creditapp.credentials.vendors import VENDORS, Vendor, vendor_of
