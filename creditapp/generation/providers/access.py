"""Keys and addresses of vendors: the values of the variables that entries of the catalog name."""

from __future__ import annotations

from collections.abc import Mapping

from creditapp.catalog.served import OFFLINE, Served


class Access:
    """The key and the address of an entry's vendor. ``values`` are variables by their names."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values: Mapping[str, str] = {name: value for name, value in values.items() if value}

    def missing_variable(self, entry: Served, own_key: str | None = None) -> str | None:
        """Return the first variable that an entry lacks, if any."""
        if entry.provider == OFFLINE:
            return "CREDITAPP_ENV"
        if not (self.values.get(entry.key_env) if own_key is None else own_key):
            return entry.key_env
        # Only a vendor's own address is a default: its key must not be sent to another one.
        if entry.gateway and self.address(entry) is None:
            return entry.base_url_env
        return None

    def key(self, entry: Served) -> str:
        """Return the vendor's key; raise ``KeyError`` where it is missing."""
        return self.values[entry.key_env]

    def address(self, entry: Served) -> str | None:
        """Return the address; None is the vendor's own."""
        return self.values.get(entry.base_url_env) or entry.base_url
