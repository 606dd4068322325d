"""Stripe's products and prices taken into the catalog, as packs and plans.

A price joins when it, or its product, carries ``includedCredits`` in its metadata. One payment is
a pack; a monthly and a yearly price of one product are a plan. ``creditappId`` names the entry;
without it the product's name does. A price that cannot be sold is reported by its id and changes
nothing; one that was archived takes its entry off the shelf.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy.orm import Session

from creditapp.catalog import Catalog, CatalogInvalid, versions
from creditapp.clock import now
from creditapp.payments.gateway_types import PriceState
from creditapp.units import minor_digits

MARK = "includedCredits"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_CREDITS_MAX = 10**9


@dataclass(frozen=True)
class Problem:
    """A price that cannot be sold, and why."""

    price_id: str
    text: str


@dataclass
class Diff:
    """What the prices at Stripe change in the catalog."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """Each change as people read it: ``+ pack gold: 9.99 USD for 70 credits``."""
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether the catalog stays as it is."""
        return not (self.created or self.changed or self.archived)

    def as_dict(self) -> dict[str, Any]:
        """Return the difference for scripts."""
        return {
            "created": self.created,
            "changed": self.changed,
            "archived": self.archived,
            "problems": [
                {"priceId": each.price_id, "problem": each.text} for each in self.problems
            ],
        }

    def as_text(self) -> str:
        """Return the difference for people."""
        lines = self.lines or ["The catalog says what Stripe says."]
        return "\n".join([*lines, *(f"! {each.price_id}: {each.text}" for each in self.problems)])


def compare(prices: Sequence[PriceState], document: Mapping[str, Any], currency: str) -> Diff:
    """Return what the prices would change in a catalog's document; nothing is written."""
    diff = Diff(document=copy.deepcopy(dict(document)))
    plans: dict[str, list[PriceState]] = {}
    for price in sorted(prices, key=lambda each: (each.active, each.id)):
        if MARK not in price.metadata and not _known(diff.document, price.id):
            continue
        problem = _problem(price, currency) if price.active else None
        if problem is not None:
            diff.problems.append(Problem(price.id, problem))
        elif price.cycle is not None:
            plans.setdefault(_id_of(price), []).append(price)
        elif price.active:
            _take_pack(diff, price)
        else:
            _archive(diff, "packs", "pack", {price.id})
    for plan_id, members in plans.items():
        _take_plan(diff, plan_id, members)
    return diff


def apply(session: Session, diff: Diff) -> Catalog:
    """Put the changed catalog in force; raise ``CatalogInvalid`` before anything is stored."""
    return versions.add_version(session, diff.document, source="sync", now=now())


def document_in_force(session: Session) -> dict[str, Any]:
    """Return the document of the catalog in force, whichever process put it there.

    Raises ``CatalogInvalid`` where there is none.
    """
    found = versions.document(session, versions.active_id(session) or "")
    if not found:
        raise CatalogInvalid("the catalog in force", "version", "was never imported")
    return dict(found)


def _problem(price: PriceState, currency: str) -> str | None:
    """Say why an active price cannot be sold, or None."""
    try:
        credits = Decimal(price.metadata.get(MARK, ""))
    except InvalidOperation:
        return f"{MARK} is no number"
    exponent = credits.as_tuple().exponent
    if not credits.is_finite() or not 0 < credits <= _CREDITS_MAX:
        return f"{MARK} must be above zero and at most a billion"
    if isinstance(exponent, int) and exponent < -6:
        return f"{MARK} has more than six decimals"
    if price.currency.upper() != currency.upper():
        return f"it is in {price.currency.upper()}, and the catalog sells in {currency.upper()}"
    if not price.price_minor:
        return "it has no fixed price above zero"
    if price.cycle == "other":
        return "it recurs neither by the month nor by the year"
    if _ID.fullmatch(_id_of(price)) is None:
        return "its name makes no id of small letters and digits; set creditappId"
    return None


def _id_of(price: PriceState) -> str:
    given = price.metadata.get("creditappId")
    return given or re.sub(r"[^a-z0-9]+", "-", price.product_name.lower()).strip("-")[:48]


def _known(document: Mapping[str, Any], price_id: str) -> bool:
    return any(
        price_id in (entry.get("stripe_price_id"), entry.get("stripe_month_id"),
                     entry.get("stripe_year_id"))
        for kind in ("packs", "plans")
        for entry in document.get(kind, [])
    )  # fmt: skip


def _take_pack(diff: Diff, price: PriceState) -> None:
    wanted = {
        "id": _id_of(price),
        "name": price.product_name,
        "price": _money(price),
        "credits": _plain(price.metadata[MARK]),
        "stripe_price_id": price.id,
    }
    packs: list[dict[str, Any]] = diff.document.setdefault("packs", [])
    at = next(
        (
            number
            for number, pack in enumerate(packs)
            if pack.get("stripe_price_id") == price.id or pack["id"] == wanted["id"]
        ),
        None,
    )
    words = f"{wanted['price']} {price.currency.upper()} for {wanted['credits']} credits"
    if at is None:
        packs.append(wanted)
        diff.created.append(str(wanted["id"]))
        diff.lines.append(f"+ pack {wanted['id']}: {words}")
        return
    merged = {**packs[at], **wanted, "id": packs[at]["id"]}
    if not _same(merged, packs[at]):
        packs[at] = merged
        diff.changed.append(str(merged["id"]))
        diff.lines.append(f"~ pack {merged['id']}: {words}")


def _take_plan(diff: Diff, plan_id: str, members: Sequence[PriceState]) -> None:
    active = {str(each.cycle): each for each in members if each.active}
    plans: list[dict[str, Any]] = diff.document.setdefault("plans", [])
    known = next((plan for plan in plans if plan["id"] == plan_id), None)
    if not active:
        _archive(diff, "plans", "plan", {each.id for each in members})
        return
    first = next(iter(active.values()))
    if len({Decimal(each.metadata[MARK]) for each in active.values()}) > 1:
        diff.problems.append(Problem(first.id, f"month and year of {plan_id} differ in {MARK}"))
        return
    if known is None and set(active) != {"month", "year"}:
        missing = "year" if "month" in active else "month"
        diff.problems.append(Problem(first.id, f"plan {plan_id} has no price by the {missing}"))
        return
    wanted: dict[str, Any] = {"credits": _plain(first.metadata[MARK]), "name": first.product_name}
    for cycle, price in active.items():
        wanted |= {cycle: _money(price), f"stripe_{cycle}_id": price.id}
    cycles = [cycle for cycle in ("month", "year") if cycle in wanted]
    costs = ", ".join(f"{wanted[cycle]} by the {cycle}" for cycle in cycles)
    words = f"{costs}, {wanted['credits']} credits a month"
    if known is None:
        tagline = first.metadata.get("tagline") or first.product_name
        plans.append({"id": plan_id, "tagline": tagline, **wanted})
        diff.created.append(plan_id)
        diff.lines.append(f"+ plan {plan_id}: {words}")
    elif not _same({**known, **wanted}, known):
        known |= wanted
        diff.changed.append(plan_id)
        diff.lines.append(f"~ plan {plan_id}: {words}")


def _archive(diff: Diff, kind: str, word: str, price_ids: set[str]) -> None:
    """Take what is sold at an archived price off the shelf; what was bought stays as it was."""
    names = ("stripe_price_id", "stripe_month_id", "stripe_year_id")
    kept = []
    for entry in diff.document.get(kind, []):
        if price_ids & {entry.get(name) for name in names}:
            diff.archived.append(str(entry["id"]))
            diff.lines.append(f"- {word} {entry['id']}")
        else:
            kept.append(entry)
    diff.document[kind] = kept


def _money(price: PriceState) -> str:
    digits = minor_digits(price.currency.upper())
    return str(Decimal(price.price_minor or 0).scaleb(-digits))


def _plain(text: str) -> str:
    return f"{Decimal(text).normalize():f}"


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two entries say the same: 25 and "25.00" are one number."""
    return {k: _comparable(v) for k, v in one.items()} == {
        k: _comparable(v) for k, v in other.items()
    }


def _comparable(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    try:
        return Decimal(str(value)).normalize()
    except InvalidOperation:
        return value
