"""The ledger: who has how many credits, and why.

It knows owners by kind and id and imports nothing above it. A verb takes a ``Connection`` whose
transaction the caller owns (``transaction()`` in ``db``), never commits, and returns what it did;
a refusal leaves nothing behind. Amounts are microcredits.
"""

from creditapp.errors import IdempotencyKeyReused
from creditapp.ledger import idempotency, outbox, proof
from creditapp.ledger.captures import capture, refund, release
from creditapp.ledger.charges import Charge
from creditapp.ledger.charges import find as charge
from creditapp.ledger.charges import find_by_key as charge_by_key
from creditapp.ledger.expiry import due_wallets, ending_wallets, expire
from creditapp.ledger.grants import grant
from creditapp.ledger.history import Line, statement
from creditapp.ledger.holds import hold, spend
from creditapp.ledger.queries import (
    Balance,
    Expiring,
    Grant,
    Summary,
    balance,
    find_grant,
    grant_by_id,
    list_grants,
    spendable,
    summary,
)
from creditapp.ledger.refusals import (
    AccountFrozen,
    ChargeSettled,
    HoldExpired,
    InsufficientCredits,
)
from creditapp.ledger.reversals import Reversal, freeze, revoke, unfreeze
from creditapp.ledger.seals import Sealed, check_seals, seal
from creditapp.ledger.transfers import TRANSFER_DELAY, Transfer, transfer
from creditapp.ledger.triggers import install_triggers
from creditapp.ledger.wallets import (
    ensure_wallet,
    find_wallet,
    freeze_wallet,
    owner,
    unfreeze_wallet,
)

__all__ = [
    "TRANSFER_DELAY",
    "AccountFrozen",
    "Balance",
    "Charge",
    "ChargeSettled",
    "Expiring",
    "Grant",
    "HoldExpired",
    "IdempotencyKeyReused",
    "InsufficientCredits",
    "Line",
    "Reversal",
    "Sealed",
    "Summary",
    "Transfer",
    "balance",
    "capture",
    "charge",
    "charge_by_key",
    "check_seals",
    "due_wallets",
    "ending_wallets",
    "ensure_wallet",
    "expire",
    "find_grant",
    "find_wallet",
    "freeze",
    "freeze_wallet",
    "grant",
    "grant_by_id",
    "hold",
    "idempotency",
    "install_triggers",
    "list_grants",
    "outbox",
    "owner",
    "proof",
    "refund",
    "release",
    "revoke",
    "seal",
    "spend",
    "spendable",
    "statement",
    "summary",
    "transfer",
    "unfreeze",
    "unfreeze_wallet",
]
