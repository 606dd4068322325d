"""Settings of payments by programs: x402 and MPP, off without an address, and old receipts."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from creditapp.setting_types import DidKeys, Ed25519Keys, HttpAddress


def _evm_address(text: str) -> str:
    if text and not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ValueError("must be an address on an EVM chain: 0x and 40 hexadecimal digits")
    return text


class RailSettings(BaseModel):
    """A part of ``Settings``."""

    x402_pay_to: Annotated[str, AfterValidator(_evm_address)] = Field(
        "", alias="CREDITAPP_X402_PAY_TO"
    )
    """The address that is paid; its key is never here."""
    x402_network: Annotated[
        Literal["base", "base-sepolia", "celo", "celo-sepolia"], BeforeValidator(str.lower)
    ] = Field("base", alias="CREDITAPP_X402_NETWORK")
    x402_facilitator: HttpAddress | Literal[""] = Field("", alias="CREDITAPP_X402_FACILITATOR")
    x402_facilitator_token: str = Field("", alias="CREDITAPP_X402_FACILITATOR_TOKEN", repr=False)
    mpp_secret: str = Field("", alias="CREDITAPP_MPP_SECRET", repr=False)
    """Signs the challenges of MPP; without it that rail is off."""
    mpp_realm: str = Field("", alias="CREDITAPP_MPP_REALM")
    """Empty means the host of the site's address."""
    previous_agents_keys: Ed25519Keys = Field(
        (), alias="CREDITAPP_PREVIOUS_AGENTS_KEYS", repr=False
    )
    """Agents' keys of before, which still verify what they signed, and sign nothing new."""
    trusted_receipt_issuers: DidKeys = Field((), alias="CREDITAPP_TRUSTED_RECEIPT_ISSUERS")
    """Whose receipts for payment requests of this site count as paid, besides its own."""
