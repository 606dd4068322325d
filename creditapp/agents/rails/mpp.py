"""MPP: ``WWW-Authenticate: Payment``, ``Authorization: Payment`` and ``Payment-Receipt``.

The method is ``evm`` with the intent ``charge``: the authorization of x402 in the messages of the
Payment authentication scheme. Source: draft-httpauth-payment-01.
"""

from __future__ import annotations

from collections.abc import Mapping

from creditapp.agents.rails.claims import Claim
from creditapp.agents.rails.evm import EvmRail, check_length, fingerprint, read_opaque, settled_at
from creditapp.agents.rails.rail import Payment
from creditapp.agents.refusals import PaymentRefused

_SCHEME = "payment "


class MppRail(EvmRail):
    """Takes the payments of MPP clients."""

    name = "mpp"
    header = "authorization"

    def challenge_of(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return ``WWW-Authenticate: Payment``."""
        return {"WWW-Authenticate": headers["WWW-Authenticate"]}

    def read_payment(self, headers: Mapping[str, str]) -> Payment | None:
        """Return the payment of ``Authorization: Payment``; None for any other scheme."""
        value = headers.get(self.header, "")
        if not value.lower().startswith(_SCHEME):
            return None
        from mpp import Credential
        from mpp._parsing import ParseError

        check_length(value, "Authorization")
        try:
            credential = Credential.from_authorization(value)
        except ParseError:
            raise PaymentRefused("Authorization is no readable Payment credential.") from None
        if credential.challenge.method != "evm" or not isinstance(credential.payload, dict):
            raise PaymentRefused("The Payment credential is of no method that is taken here.")
        return Payment(
            rail=self.name,
            request_id=read_opaque(credential.challenge.opaque),
            fingerprint=fingerprint(credential.payload),
        )

    def receipt_headers(self, claim: Claim) -> Mapping[str, str]:
        """Return ``Payment-Receipt``."""
        from mpp import Receipt

        assert claim.reference is not None
        receipt = Receipt.success(claim.reference, timestamp=settled_at(claim), method="evm")
        return {"Payment-Receipt": receipt.to_payment_receipt()}
