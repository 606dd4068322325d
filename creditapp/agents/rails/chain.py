"""Chain: the network, the address and the facilitator of signed payments, of the settings."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from creditapp.agents.rails.claims import TEST_NETWORKS
from creditapp.agents.rails.facilitator import Facilitator
from creditapp.config import Settings, SettingsInvalid
from creditapp.setting_types import weakness_of

if TYPE_CHECKING:
    from mpp.methods.evm import EvmAsset

PAY_TO: Final = "CREDITAPP_X402_PAY_TO"
FACILITATOR: Final = "CREDITAPP_X402_FACILITATOR"
NETWORK: Final = "CREDITAPP_X402_NETWORK"
MPP_SECRET: Final = "CREDITAPP_MPP_SECRET"  # noqa: S105  # a name


@dataclass(frozen=True)
class Chain:
    """The destination of the money, which both rails share."""

    site_url: str
    asset: EvmAsset
    pay_to: str
    """The address with its checksum."""
    facilitator: Facilitator
    realm: str
    secret: str = field(repr=False)
    seats: threading.Semaphore = field(repr=False)
    """The payments that may wait for the facilitator at once, in this process."""

    @property
    def resource(self) -> str:
        """The address that is paid for, whichever of its names was called."""
        return f"{self.site_url}/api/images/buy"


def chain_of(settings: Settings) -> Chain | None:
    """Return the chain of the settings, or None without an address to pay to.

    Raises ``SettingsInvalid`` for half a configuration, test money beside real money, an address
    with a typing error, and without the extra.
    """
    if not settings.x402_pay_to:
        _refuse_half(settings)
        return None
    if not settings.x402_facilitator:
        raise SettingsInvalid(f"{FACILITATOR} is missing: {PAY_TO} needs it.")
    is_test = settings.x402_network in TEST_NETWORKS.values()
    _check_money(settings, is_test)
    if weakness := weakness_of(settings.mpp_secret):
        raise SettingsInvalid(f"{MPP_SECRET} {weakness}: set a long random text.")
    asset = _asset(settings.x402_network)
    return Chain(
        site_url=settings.site_url,
        asset=asset,
        pay_to=_checked_address(settings.x402_pay_to, asset),
        facilitator=Facilitator(settings.x402_facilitator, settings.x402_facilitator_token),
        realm=settings.mpp_realm or urlsplit(settings.site_url).netloc,
        # x402 needs none; pympp asks for one to sign the challenges of MPP, which are then unsent.
        secret=settings.mpp_secret or settings.derived_key("mpp"),
        seats=threading.Semaphore(max(1, settings.threads // 4)),
    )


def _refuse_half(settings: Settings) -> None:
    for name, value in (
        (FACILITATOR, settings.x402_facilitator),
        (MPP_SECRET, settings.mpp_secret),
    ):
        if value:
            raise SettingsInvalid(f"{PAY_TO} is missing: {name} needs it.")


def _check_money(settings: Settings, is_test: bool) -> None:
    """Refuse to mix real money with money that is worth nothing, in one ledger."""
    if settings.livemode and is_test:
        raise SettingsInvalid(
            f"{NETWORK} is a test network, whose money is worth nothing, and STRIPE_SECRET_KEY is "
            "a live key: set base or celo."
        )
    if not settings.livemode and not is_test:
        raise SettingsInvalid(
            f"{NETWORK} takes real money, and without a live STRIPE_SECRET_KEY this site does not: "
            "set base-sepolia or celo-sepolia."
        )
    if settings.production and not settings.x402_facilitator.startswith("https://"):
        raise SettingsInvalid(f"{FACILITATOR} must begin with https:// in production.")


def _asset(network: str) -> EvmAsset:
    """Return the USDC of a network."""
    recursion_limit = sys.getrecursionlimit()
    try:
        from mpp.methods import evm
        from mpp.methods.evm import server as server  # needs what the extra brings along
    except ImportError:
        raise SettingsInvalid(
            f"{PAY_TO} needs the extra agents, which is not installed: docs/agents.md has the line "
            "that installs it."
        ) from None
    finally:
        # py_ecc, which comes along, sets it to 100,000. JSON that is nested so deep would then end
        # the process by a stack overflow, where it is refused otherwise.
        sys.setrecursionlimit(recursion_limit)
    assets = {
        "base": evm.BASE_USDC,
        "base-sepolia": evm.BASE_SEPOLIA_USDC,
        "celo": evm.CELO_USDC,
        "celo-sepolia": evm.CELO_SEPOLIA_USDC,
    }
    return assets[network]


def _checked_address(address: str, asset: EvmAsset) -> str:
    """Return an address with its checksum; refuse one whose letters contradict it (EIP-55)."""
    from mpp.methods.evm import ChargeIntent

    terms = ChargeIntent(name=asset.name, version=asset.version, settle=str).x402_requirements(
        {
            "amount": "1",
            "currency": asset.address,
            "recipient": address,
            "methodDetails": {"chainId": asset.chain_id},
        }
    )
    checked: str = terms["payTo"]
    is_mixed = address[2:] not in (address[2:].lower(), address[2:].upper())
    if is_mixed and address != checked:
        raise SettingsInvalid(
            f"{PAY_TO} has a typing error: its checksum does not match. Copy the address again."
        )
    return checked
