"""The ledger: how many credits each owner has, and why.

It knows owners by kind and id and imports nothing above it. A verb takes a ``Connection`` whose
transaction the caller owns (``transaction()`` in ``db``), never commits, and returns its result; a
refusal writes nothing. Amounts are microcredits.
"""

from creditapp.errors import IdempotencyKeyReused
from creditapp.ledger import idempotency, outbox, proof
from creditapp.ledger.captures import capture, refund, release
from creditapp.ledger.charges import Budget, Charge, NewCharge, charge_by_id, find_charge
from creditapp.ledger.expiry import due_wallets, expire, expiring_wallets
from creditapp.ledger.grants import NewGrant, grant
from creditapp.ledger.history import CURSOR, StatementLine, entries_after, statement
from creditapp.ledger.holds import hold, spend
from creditapp.ledger.queries import (
    Balance,
    ExpiringCredits,
    Grant,
    Summary,
    balance,
    find_grant,
    grant_by_id,
    held_for,
    list_grants,
    spendable,
    summary,
    taken_by_key,
)
from creditapp.ledger.refusals import (
    AccountFrozen,
    BudgetExceeded,
    ChargeSettled,
    HoldExpired,
    InsufficientCredits,
    MaxCreditsExceeded,
)
from creditapp.ledger.reversals import Reversal, freeze, revoke, unfreeze
from creditapp.ledger.seals import NewSeal, check_seals, exported_seals, seal
from creditapp.ledger.transfers import TRANSFER_DELAY, Transfer, transfer
from creditapp.ledger.triggers import install_triggers
from creditapp.ledger.wallets import (
    ensure_wallet,
    erase_texts,
    find_wallet,
    freeze_wallet,
    owner,
    unfreeze_wallet,
)
