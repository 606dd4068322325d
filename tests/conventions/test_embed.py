"""The example of ``docs/embed.md`` runs as it is written, and spends once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

import creditapp
from creditapp import ledger
from creditapp.clock import now
from creditapp.db import snapshot, transaction
from tests.conventions.files import ROOT

_PAGE = (ROOT / "docs" / "embed.md").read_text()


def test_the_ten_lines_spend_once(own_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(from creditapp import create_app.*?)```", _PAGE, re.DOTALL)
    code = code.replace("# your own rows", "\n    return 'done'")
    monkeypatch.setattr(creditapp, "create_app", lambda: own_app)
    names: dict[str, Any] = {}
    exec(code, names)  # the document's own code
    with own_app.app_context(), transaction() as session:
        connection = session.connection()
        wallet_id = ledger.ensure_wallet(connection, "user", "usr_1", now=now())
        new = ledger.NewGrant(amount_micro=8_000_000, source="admin", origin="test:embed")
        ledger.grant(connection, wallet_id, new, now=now())
    with own_app.test_request_context():
        assert [names["summary"]("usr_1") for _ in range(2)] == ["done", "done"]
    with own_app.app_context(), snapshot() as session:
        balance = ledger.balance(session.connection(), wallet_id, now=now())
    assert balance.available_micro == 3_000_000
