"""Rails: the ways in which agents can pay. Each is a module with a class of ``rail.Rail``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from creditapp.agents.rails.chain import chain_of
from creditapp.agents.rails.mpp import MppRail
from creditapp.agents.rails.rail import Payment, PaymentOption, Rail, Settled
from creditapp.agents.rails.sandbox import SandboxRail
from creditapp.agents.rails.stripe_checkout import StripeRail
from creditapp.agents.rails.x402 import X402Rail
from creditapp.config import Settings


class Rails:
    """The rails of this site, in the order of the token's options."""

    def __init__(self, rails: Sequence[Rail]) -> None:
        self._rails = {rail.name: rail for rail in rails}

    def __iter__(self) -> Iterator[Rail]:
        return iter(self._rails.values())

    def named(self, name: str) -> Rail | None:
        """Return the rail of a name, or None where this site has it no more."""
        return self._rails.get(name)

    def read_payment(self, headers: Mapping[str, str]) -> Payment | None:
        """Return the payment that a request's headers carry, of whichever rail."""
        for rail in self:
            payment = rail.read_payment(headers)
            if payment is not None:
                return payment
        return None


def rails_of(settings: Settings) -> Rails:
    """Return the rails that the settings configure; raise ``SettingsInvalid``."""
    rails: list[Rail] = []
    if not settings.production:
        rails.append(SandboxRail(settings.site_url))
    rails.append(StripeRail(settings.site_url))
    chain = chain_of(settings)
    if chain is not None:
        rails.append(X402Rail(chain))
        if settings.mpp_secret:
            rails.append(MppRail(chain))
    return Rails(rails)
