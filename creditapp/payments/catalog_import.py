"""Stripe's products and prices taken into the catalog, as packs and plans.

A price joins when it, or its product, carries ``includedCredits`` in its metadata. One payment is
a pack; a monthly and a yearly price of one product are a plan. ``creditappId`` names the entry;
without it the product's name does. A price that cannot be sold is reported by its id and changes
nothing. One that was archived gives its place to another of its product, or else takes its entry
off the shelf.
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
from creditapp.payments.stripe.records import PriceState
from creditapp.payments.subscriptions.models import CYCLES
from creditapp.units import minor_digits

MARK = "includedCredits"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_CREDITS_MAX = 10**9
_NAMES = ("stripe_price_id", "stripe_month_id", "stripe_year_id")


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


@dataclass
class _Offer:
    """The prices at Stripe of one pack or plan, and its entry where the catalog has one."""

    id: str
    entry: dict[str, Any] | None
    good: list[PriceState] = field(default_factory=list)
    bad: list[PriceState] = field(default_factory=list)
    """On sale at Stripe, but named in a problem."""
    archived: list[PriceState] = field(default_factory=list)

    def sold_at(self, cycle: str | None) -> str | None:
        """Return the id of the price that the catalog names for a cycle, or for one payment."""
        return (self.entry or {}).get(f"stripe_{cycle or 'price'}_id")


def compare(prices: Sequence[PriceState], document: Mapping[str, Any], currency: str) -> Diff:
    """Return what the prices would change in a catalog's document; nothing is written."""
    diff = Diff(document=copy.deepcopy(dict(document)))
    taken: dict[str, list[PriceState]] = {"packs": [], "plans": []}
    bad = set()
    for price in sorted(prices, key=lambda each: each.id):
        if MARK not in price.metadata and not _known(diff.document, price.id):
            continue
        problem = _problem(price, currency) if price.active else None
        if problem is not None:
            diff.problems.append(Problem(price.id, problem))
            bad.add(price.id)
        taken["packs" if price.cycle is None else "plans"].append(price)
    for offer in _offers(diff.document.get("packs", []), taken["packs"], bad):
        _take_pack(diff, offer)
    for offer in _offers(diff.document.get("plans", []), taken["plans"], bad):
        _take_plan(diff, offer)
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
    return price.metadata.get("creditappId") or _slug(price)


def _slug(price: PriceState) -> str:
    return re.sub(r"[^a-z0-9]+", "-", price.product_name.lower()).strip("-")[:48]


def _key(price: PriceState) -> tuple[str, str]:
    """Return what two prices share that ask for one place: the id they were given, or their name.

    An id that was given is never mistaken for one that a name makes.
    """
    given = price.metadata.get("creditappId", "")
    return given, "" if given else _slug(price)


def _known(document: Mapping[str, Any], price_id: str) -> bool:
    return any(
        price_id in [entry.get(name) for name in _NAMES]
        for kind in ("packs", "plans")
        for entry in document.get(kind, [])
    )


def _offers(
    entries: Sequence[dict[str, Any]], prices: Sequence[PriceState], bad: set[str]
) -> list[_Offer]:
    """Put the prices to the entries that they sell, and those of one new entry together.

    A price that the catalog does not name belongs where its id leads, or else to the entry that a
    price of the same id sells, or to the one whose archived price of the same product it replaces.
    """
    by_price = {entry[name]: entry for entry in entries for name in _NAMES if entry.get(name)}
    by_id = {str(entry["id"]): entry for entry in entries}
    # Where several entries sell one product, one whose price is active comes before the others.
    known = [
        (price, by_price[price.id])
        for price in sorted(prices, key=lambda each: each.active)
        if price.id in by_price
    ]
    by_key = {("", _slug(price)): entry for price, entry in known if not price.active}
    by_key |= {_key(price): entry for price, entry in known}
    by_key.pop(("", ""), None)  # names without a letter of ours are not the same name
    offers: dict[str, _Offer] = {}
    for price in prices:
        entry = by_price.get(price.id) or by_id.get(_id_of(price)) or by_key.get(_key(price))
        offer_id = str(entry["id"]) if entry else _id_of(price)
        offer = offers.setdefault(offer_id, _Offer(offer_id, entry))
        if not price.active:
            offer.archived.append(price)
        elif price.id in bad:
            offer.bad.append(price)
        else:
            offer.good.append(price)
    return list(offers.values())


def _choose(diff: Diff, offer: _Offer, cycle: str | None) -> PriceState | None:
    """Return the active price to sell at, and name every other that asks for its place.

    The one that is in the catalog stays, also where it is a bad one; else the first by id.
    """
    good = [price for price in offer.good if price.cycle == cycle]
    stays = offer.sold_at(cycle)
    chosen = next((price for price in good if price.id == stays), None)
    if chosen is None and good and stays not in {price.id for price in offer.bad}:
        chosen = good[0]
    what = "pack" if cycle is None else f"plan by the {cycle}"
    for price in good:
        if price is not chosen:
            words = f"another price is that {what} already; set creditappId"
            diff.problems.append(Problem(price.id, words))
    return chosen


def _take_pack(diff: Diff, offer: _Offer) -> None:
    price = _choose(diff, offer, None)
    if price is None:
        if offer.sold_at(None) in {each.id for each in offer.archived}:
            _archive(diff, "packs", "pack", offer)
        return
    wanted = {
        "name": price.product_name,
        "price": _money(price),
        "credits": _plain(price.metadata[MARK]),
        "stripe_price_id": price.id,
    }
    words = f"{wanted['price']} {price.currency.upper()} for {wanted['credits']} credits"
    if offer.entry is None:
        diff.document.setdefault("packs", []).append({"id": offer.id, **wanted})
        diff.created.append(offer.id)
        diff.lines.append(f"+ pack {offer.id}: {words}")
    elif not _same({**offer.entry, **wanted}, offer.entry):
        offer.entry |= wanted
        diff.changed.append(offer.id)
        diff.lines.append(f"~ pack {offer.id}: {words}")


def _take_plan(diff: Diff, offer: _Offer) -> None:
    chosen = {cycle: _choose(diff, offer, cycle) for cycle in CYCLES}
    active = {cycle: price for cycle, price in chosen.items() if price is not None}
    if _ended(diff, offer, set(active)) or not active:
        return
    first = next(iter(active.values()))
    if len({Decimal(each.metadata[MARK]) for each in active.values()}) > 1:
        diff.problems.append(Problem(first.id, f"month and year of {offer.id} differ in {MARK}"))
        return
    if offer.entry is None and set(active) != set(CYCLES):
        missing = "year" if "month" in active else "month"
        words = f"plan {offer.id} has no price by the {missing}"
        diff.problems.append(Problem(first.id, words))
        return
    wanted: dict[str, Any] = {"credits": _plain(first.metadata[MARK]), "name": first.product_name}
    for cycle, price in active.items():
        wanted |= {cycle: _money(price), f"stripe_{cycle}_id": price.id}
    costs = ", ".join(f"{wanted[cycle]} by the {cycle}" for cycle in active)
    words = f"{costs}, {wanted['credits']} credits a month"
    if offer.entry is None:
        tagline = first.metadata.get("tagline") or first.product_name
        diff.document.setdefault("plans", []).append({"id": offer.id, "tagline": tagline, **wanted})
        diff.created.append(offer.id)
        diff.lines.append(f"+ plan {offer.id}: {words}")
    elif not _same({**offer.entry, **wanted}, offer.entry):
        offer.entry |= wanted
        diff.changed.append(offer.id)
        diff.lines.append(f"~ plan {offer.id}: {words}")


def _ended(diff: Diff, offer: _Offer, active: set[str]) -> bool:
    """Return whether a plan is sold at an archived price that none replaces.

    It leaves the shelf if nothing of it is on sale any more. If the other cycle is, the plan stays
    as it is and the archived price is named: a plan has a month and a year.
    """
    sold = {offer.sold_at(cycle): cycle for cycle in CYCLES if cycle not in active}
    gone = {price.id: sold[price.id] for price in offer.archived if price.id in sold}
    on_sale = active | {price.cycle for price in offer.bad if price.cycle in CYCLES}
    if gone and not on_sale - set(gone.values()):
        _archive(diff, "plans", "plan", offer)
        return True
    for price_id, cycle in gone.items():
        words = f"it is archived, and plan {offer.id} has no other price by the {cycle}"
        diff.problems.append(Problem(price_id, words))
    return bool(gone)


def _archive(diff: Diff, kind: str, word: str, offer: _Offer) -> None:
    """Take what is sold at an archived price off the shelf; what was bought stays as it was."""
    diff.document[kind] = [each for each in diff.document[kind] if each is not offer.entry]
    diff.archived.append(offer.id)
    diff.lines.append(f"- {word} {offer.id}")


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
