"""Every test here may use a running sandbox and a shop."""

from __future__ import annotations

from tests.payments.sandbox_kit import sandbox, shop

__all__ = ["sandbox", "shop"]
