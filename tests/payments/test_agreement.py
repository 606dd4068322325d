"""The ledger's sales against the purchases, whole and tampered with."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from creditapp.db import snapshot, transaction
from creditapp.payments import agreement
from tests.payments.till import Till, house, till

__all__ = ["house", "till"]


def bought(till: Till) -> None:
    purchase = till.start(till.member())
    till.pay(purchase)
    till.deliver(purchase)


def test_what_was_sold_is_what_was_bought(till: Till) -> None:
    bought(till)
    with till.app.app_context(), snapshot() as session:
        result = agreement.check(session.connection())
    assert (result.checked, result.findings) == (1, [])


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE purchases SET credits_micro = credits_micro + 1",
        "UPDATE purchases SET grant_id = NULL",
        "UPDATE purchases SET grant_id = 999999",
        "DELETE FROM purchases",
    ],
)
def test_what_does_not_agree_is_found(till: Till, tampering: str) -> None:
    bought(till)
    with till.app.app_context():
        with transaction() as session:
            session.execute(text(tampering))
        with snapshot() as session:
            assert agreement.check(session.connection()).findings
