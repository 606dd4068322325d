"""A spend as it is usually written: Flask-SQLAlchemy models, a locked row, a loop over the lots.

It promises what matters of the ledger's spend: a key charges once, the lot that expires first is
used first, and no balance falls below zero. It has tables of its own.
"""

from __future__ import annotations

from datetime import datetime

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from bench.ledger_limit import AMOUNT, NOW, Step

db = SQLAlchemy()


class Account(db.Model):  # type: ignore[name-defined,misc]  # made at run time
    """A balance, kept beside the lots that it is the sum of."""

    __tablename__ = "orm_accounts"
    __table_args__ = (CheckConstraint("balance >= 0", name="orm_balance"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(BigInteger)


class Lot(db.Model):  # type: ignore[name-defined,misc]
    """Credits that expire together."""

    __tablename__ = "orm_lots"
    __table_args__ = (CheckConstraint("remaining >= 0", name="orm_remaining"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("orm_accounts.id"), index=True)
    remaining: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Charge(db.Model):  # type: ignore[name-defined,misc]
    """A spend, once for each key."""

    __tablename__ = "orm_charges"
    __table_args__ = (UniqueConstraint("account_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("orm_accounts.id"))
    key: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    balance_after: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    parts: Mapped[list[ChargePart]] = relationship()


class ChargePart(db.Model):  # type: ignore[name-defined,misc]
    """The part of a charge that came from one lot."""

    __tablename__ = "orm_charge_parts"

    charge_id: Mapped[int] = mapped_column(ForeignKey("orm_charges.id"), primary_key=True)
    lot_id: Mapped[int] = mapped_column(ForeignKey("orm_lots.id"), primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)


def prepare(url: str, accounts: int) -> None:
    """Create the tables, and accounts with three lots each."""
    app = _app(url)
    with app.app_context():
        db.create_all()
        for number in range(1, accounts + 1):
            db.session.add(Account(id=number, balance=3 * 10**12))
            db.session.flush()
            for day in (1, 2, 3):
                expires_at = NOW.replace(year=NOW.year + 1, day=day)
                lot = Lot(account_id=number, remaining=10**12, expires_at=expires_at)
                db.session.add(lot)
        db.session.commit()
        db.engine.dispose()


def spend(url: str) -> Step:
    """Return a spend in a session of its own, as a request has one."""
    app = _app(url)
    app.app_context().push()  # this thread's, for all its spends: as cheap as a request gets

    def step(account_id: int, key: str) -> None:
        _spend(account_id, AMOUNT, key)
        db.session.close()

    return step


def _spend(account_id: int, amount: int, key: str) -> Charge:
    account = db.session.get_one(Account, account_id, with_for_update=True)
    charge = db.session.scalar(select(Charge).filter_by(account_id=account_id, key=key))
    if charge is not None:
        return charge
    if account.balance < amount:
        raise ValueError("insufficient credits")
    lots = db.session.scalars(
        select(Lot)
        .where(Lot.account_id == account_id, Lot.remaining > 0, Lot.expires_at > NOW)
        .order_by(Lot.expires_at, Lot.id)
    )
    account.balance -= amount
    charge = Charge(
        account_id=account_id, key=key, amount=amount, balance_after=account.balance, created_at=NOW
    )
    missing = amount
    for lot in lots:
        part = min(lot.remaining, missing)
        lot.remaining -= part
        charge.parts.append(ChargePart(lot_id=lot.id, amount=part))
        missing -= part
        if not missing:
            break
    db.session.add(charge)
    db.session.commit()
    return charge


def _app(url: str) -> Flask:
    app = Flask("orm")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    return app
