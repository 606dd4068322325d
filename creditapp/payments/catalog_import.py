"""Import of Stripe's products and prices into the catalog, as packs and plans.

A price is imported when it, or its product, has ``includedCredits`` in its metadata. A one-time
price is a pack; a monthly and a yearly price of one product are a plan. ``creditappId`` names the
entry; without it the product's name does. A price that cannot be sold is reported by its id and
changes nothing. An archived price is replaced by another of its product, or else its entry is
removed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy.orm import Session

from creditapp import clock
from creditapp.catalog import Catalog, CatalogInvalid, versions
from creditapp.db import snapshot, stop_reading, transaction
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import PriceState
from creditapp.payments.subscriptions.models import CYCLES
from creditapp.services import get
from creditapp.units import charge_problem, minor_digits

CREDITS_KEY = "includedCredits"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_CREDITS_MAX = 10**9
_NAMES = ("stripe_price_id", "stripe_month_id", "stripe_year_id")


@dataclass(frozen=True)
class Problem:
    """A price that cannot be sold, and the reason."""

    price_id: str
    text: str


@dataclass
class Diff:
    """Changes that the prices at Stripe make to the catalog."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """Each change as text: ``+ pack gold: 9.99 USD for 70 credits``."""
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.created or self.changed or self.archived)

    def report(self, price_id: str, text: str) -> None:
        """Report a price that cannot be sold."""
        self.problems.append(Problem(price_id, text))

    def add_line(self, sign: str, offer: _Offer, text: str = "") -> None:
        """Add a change as text."""
        self.lines.append(f"{sign} {offer.label} {offer.id}" + (f": {text}" if text else ""))

    def as_dict(self) -> dict[str, Any]:
        """Return the changes for scripts."""
        return {
            "created": self.created,
            "changed": self.changed,
            "archived": self.archived,
            "problems": [
                {"priceId": problem.price_id, "problem": problem.text} for problem in self.problems
            ],
        }

    def as_text(self) -> str:
        """Return the changes as text."""
        lines = self.lines or ["The catalog says what Stripe says."]
        return "\n".join(
            [*lines, *(f"! {problem.price_id}: {problem.text}" for problem in self.problems)]
        )


@dataclass
class _Offer:
    """The prices at Stripe of one pack or plan, and its entry if the catalog has one."""

    label: str
    """``pack`` or ``plan``."""
    id: str
    entry: dict[str, Any] | None
    good: list[PriceState] = field(default_factory=list)
    bad: list[PriceState] = field(default_factory=list)
    """Active at Stripe, but not sellable."""
    archived: list[PriceState] = field(default_factory=list)

    def current_price_id(self, cycle: str | None) -> str | None:
        """Return the price id that the catalog has for a cycle, or for a pack (None)."""
        return (self.entry or {}).get(f"stripe_{cycle or 'price'}_id")


def compare(prices: Sequence[PriceState], document: Mapping[str, Any], currency: str) -> Diff:
    """Return the changes that the prices make to a catalog's document; write nothing."""
    diff = Diff(document=copy.deepcopy(dict(document)))
    by_label: dict[str, list[PriceState]] = {"pack": [], "plan": []}
    bad = set[str]()
    for price in sorted(prices, key=lambda price: price.id):
        if CREDITS_KEY not in price.metadata and not _in_catalog(diff.document, price.id):
            continue
        problem = _problem(price, currency) if price.active else None
        if problem is not None:
            diff.report(price.id, problem)
            bad.add(price.id)
        by_label["pack" if price.cycle is None else "plan"].append(price)
    for label, import_offer in (("pack", _import_pack), ("plan", _import_plan)):
        entries = diff.document.get(f"{label}s", [])
        for offer in _offers(label, entries, by_label[label], bad):
            import_offer(diff, offer)
    return diff


def import_prices(*, dry_run: bool) -> tuple[Diff, Catalog | None]:
    """Import Stripe's prices, and activate the changed catalog unless it is a ``dry_run``.

    Returns the changes, and the new catalog if there is one, which the caller puts into its app.
    Raises ``GatewayError``, and ``CatalogInvalid`` before anything is stored.
    """
    stop_reading()
    prices = get(StripeGateway).list_prices()
    with snapshot() as session:
        document = _document_in_force(session)
    diff = compare(prices, document, get(Catalog).currency)
    if diff.empty or dry_run:
        return diff, None
    with transaction() as session:
        return diff, versions.add_version(session, diff.document, source="sync", now=clock.now())


def _document_in_force(session: Session) -> dict[str, Any]:
    """Return the document of the active catalog version, whichever process activated it."""
    document = versions.document(session, versions.active_id(session) or "")
    if not document:
        raise CatalogInvalid("the catalog in force", "version", "was never imported")
    return dict(document)


def _problem(price: PriceState, currency: str) -> str | None:
    """Return why an active price cannot be sold, or None."""
    try:
        credits = Decimal(price.metadata.get(CREDITS_KEY, ""))
    except InvalidOperation:
        return f"{CREDITS_KEY} is no number"
    exponent = credits.as_tuple().exponent
    if not credits.is_finite() or not 0 < credits <= _CREDITS_MAX:
        return f"{CREDITS_KEY} must be above zero and at most a billion"
    if isinstance(exponent, int) and exponent < -6:
        return f"{CREDITS_KEY} has more than six decimals"
    if price.currency.upper() != currency.upper():
        return f"it is in {price.currency.upper()}, and the catalog sells in {currency.upper()}"
    if not price.price_minor:
        return "it has no fixed price above zero"
    unsellable = charge_problem(price.price_minor, price.currency)
    if unsellable is not None:
        return f"its price {unsellable}"
    if price.cycle == "other":
        return "it recurs neither by the month nor by the year"
    if _ID.fullmatch(_id_of(price)) is None:
        return "its name makes no id of small letters and digits; set creditappId"
    return None


def _id_of(price: PriceState) -> str:
    return price.metadata.get("creditappId") or _slug(price)


def _slug(price: PriceState) -> str:
    return re.sub(r"[^a-z0-9]+", "-", price.product_name.lower()).strip("-")[:48]


def _key(price: PriceState) -> tuple[str, str]:
    """Return the key that prices of one entry share: their ``creditappId``, or their name's slug.

    An explicit id never equals a slug.
    """
    explicit_id = price.metadata.get("creditappId", "")
    return explicit_id, "" if explicit_id else _slug(price)


def _in_catalog(document: Mapping[str, Any], price_id: str) -> bool:
    return any(
        price_id in [entry.get(name) for name in _NAMES]
        for kind in ("packs", "plans")
        for entry in document.get(kind, [])
    )


def _offers(
    label: str, entries: Sequence[dict[str, Any]], prices: Sequence[PriceState], bad: set[str]
) -> list[_Offer]:
    """Group the prices by the entry that they sell; prices of one new entry are one group.

    A price that the catalog does not name belongs to the entry with its id, or else to the entry
    of another price with the same key, or to the one whose archived price of the same product it
    replaces.
    """
    by_price = {entry[name]: entry for entry in entries for name in _NAMES if entry.get(name)}
    by_id = {str(entry["id"]): entry for entry in entries}
    # Of several entries of one product, the one with an active price comes first.
    known = [
        (price, by_price[price.id])
        for price in sorted(prices, key=lambda price: price.active)
        if price.id in by_price
    ]
    by_key = {("", _slug(price)): entry for price, entry in known if not price.active}
    by_key |= {_key(price): entry for price, entry in known}
    by_key.pop(("", ""), None)  # names whose slug is empty are different names
    offers: dict[str, _Offer] = {}
    for price in prices:
        entry = by_price.get(price.id) or by_id.get(_id_of(price)) or by_key.get(_key(price))
        offer_id = str(entry["id"]) if entry else _id_of(price)
        offer = offers.setdefault(offer_id, _Offer(label, offer_id, entry))
        if not price.active:
            offer.archived.append(price)
        elif price.id in bad:
            offer.bad.append(price)
        else:
            offer.good.append(price)
    return list(offers.values())


def _choose(diff: Diff, offer: _Offer, cycle: str | None) -> PriceState | None:
    """Return the active price to sell at, and report every other one for the same cycle.

    The price in the catalog stays, even if it has a problem; otherwise the first by id is chosen.
    """
    good = [price for price in offer.good if price.cycle == cycle]
    current_id = offer.current_price_id(cycle)
    chosen = next((price for price in good if price.id == current_id), None)
    if chosen is None and good and current_id not in {price.id for price in offer.bad}:
        chosen = good[0]
    label = "pack" if cycle is None else f"plan by the {cycle}"
    for price in good:
        if price is not chosen:
            diff.report(price.id, f"another price is that {label} already; set creditappId")
    return chosen


def _import_pack(diff: Diff, offer: _Offer) -> None:
    price = _choose(diff, offer, None)
    if price is None:
        if offer.current_price_id(None) in {price.id for price in offer.archived}:
            _archive(diff, offer)
        return
    values = {
        "name": price.product_name,
        "price": _money(price),
        "credits": _plain_number(price.metadata[CREDITS_KEY]),
        "stripe_price_id": price.id,
    }
    text = f"{values['price']} {price.currency.upper()} for {values['credits']} credits"
    _put(diff, offer, values, text, {"id": offer.id})


def _import_plan(diff: Diff, offer: _Offer) -> None:
    chosen = {cycle: _choose(diff, offer, cycle) for cycle in CYCLES}
    active = {cycle: price for cycle, price in chosen.items() if price is not None}
    if _remove_if_archived(diff, offer, set(active)) or not active:
        return
    first = next(iter(active.values()))
    if len({Decimal(price.metadata[CREDITS_KEY]) for price in active.values()}) > 1:
        diff.report(first.id, f"month and year of {offer.id} differ in {CREDITS_KEY}")
        return
    if offer.entry is None and set(active) != set(CYCLES):
        missing = "year" if "month" in active else "month"
        diff.report(first.id, f"plan {offer.id} has no price by the {missing}")
        return
    values: dict[str, Any] = {
        "credits": _plain_number(first.metadata[CREDITS_KEY]),
        "name": first.product_name,
    }
    for cycle, price in active.items():
        values |= {cycle: _money(price), f"stripe_{cycle}_id": price.id}
    costs = ", ".join(f"{values[cycle]} by the {cycle}" for cycle in active)
    text = f"{costs}, {values['credits']} credits a month"
    tagline = first.metadata.get("tagline") or first.product_name
    _put(diff, offer, values, text, {"id": offer.id, "tagline": tagline})


def _put(
    diff: Diff, offer: _Offer, values: dict[str, Any], text: str, only_new: dict[str, Any]
) -> None:
    """Add the entry, with ``only_new`` too, or change the one that the catalog has."""
    if offer.entry is None:
        diff.document.setdefault(f"{offer.label}s", []).append({**only_new, **values})
        diff.created.append(offer.id)
        diff.add_line("+", offer, text)
    elif any(
        _comparable(offer.entry.get(name)) != _comparable(value) for name, value in values.items()
    ):
        offer.entry |= values
        diff.changed.append(offer.id)
        diff.add_line("~", offer, text)


def _remove_if_archived(diff: Diff, offer: _Offer, active: set[str]) -> bool:
    """Return whether a plan has an archived price without a replacement.

    The plan is removed if none of its prices is active any more. If the other cycle's is, the plan
    stays as it is and the archived price is reported: a plan has a month and a year.
    """
    current = {offer.current_price_id(cycle): cycle for cycle in CYCLES if cycle not in active}
    archived = {price.id: current[price.id] for price in offer.archived if price.id in current}
    still_active = active | {price.cycle for price in offer.bad if price.cycle in CYCLES}
    if archived and not still_active - set(archived.values()):
        _archive(diff, offer)
        return True
    for price_id, cycle in archived.items():
        diff.report(
            price_id, f"it is archived, and plan {offer.id} has no other price by the {cycle}"
        )
    return bool(archived)


def _archive(diff: Diff, offer: _Offer) -> None:
    """Remove an entry with an archived price; earlier purchases keep their snapshot."""
    section = f"{offer.label}s"
    diff.document[section] = [entry for entry in diff.document[section] if entry is not offer.entry]
    diff.archived.append(offer.id)
    diff.add_line("-", offer)


def _money(price: PriceState) -> str:
    digits = minor_digits(price.currency.upper())
    return str(Decimal(price.price_minor or 0).scaleb(-digits))


def _plain_number(text: str) -> str:
    return f"{Decimal(text).normalize():f}"


def _comparable(value: Any) -> Any:
    """Return a value in the form in which 25 and "25.00" are equal."""
    if isinstance(value, bool) or value is None:
        return value
    try:
        return Decimal(str(value)).normalize()
    except InvalidOperation:
        return value
