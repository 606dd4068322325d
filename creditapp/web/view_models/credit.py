"""Credits: the transaction history and the balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from creditapp.catalog import Catalog
from creditapp.http.viewer import Viewer
from creditapp.ledger import StatementLine
from creditapp.payments.purchases import receipts
from creditapp.services import get

PROMPT_CHARACTERS_SHOWN = 90

_OPERATION_NAMES = {
    "text-to-image": "Text to image",
    "welcome": "Welcome credits",
    "free": "Email address confirmed",
    "purchase": "Pack",
    "promotion": "Promotion",
    "gift": "Gift",
    "referral": "Referral",
    "admin": "From support",
    "refund": "Returned credits",
    "subscription": "Plan credits",
    "transfer": "Transfer",
}


@dataclass(frozen=True)
class HistoryLine:
    """A row of the ``history_table`` component."""

    entry: StatementLine
    title: str
    detail: str | None
    href: str | None


@dataclass(frozen=True)
class BalancePart:
    """Credits of one source that expire together, or never."""

    label: str
    source: str
    micro: int
    expires_at: datetime | None


@dataclass(frozen=True)
class UsageDay:
    """The spending of one day."""

    date: date
    spent_micro: int
    images: int


@dataclass(frozen=True)
class Usage:
    """The ``usage_chart`` component."""

    days: Sequence[UsageDay]
    total_micro: int


@dataclass(frozen=True)
class BalanceYield:
    """How many images of a model the balance makes, or what it is short of one."""

    name: str
    images: int
    short_micro: int


@dataclass(frozen=True, kw_only=True)
class Balance(Viewer):
    """The ``balance`` component in full: the viewer with what the balance consists of."""

    parts: Sequence[BalancePart]
    makes: Sequence[BalanceYield]
    from_minor: int
    """The price of the cheapest pack."""
    currency: str


def generation_of(entry: StatementLine) -> str | None:
    """Return the id of the generation that an entry paid for."""
    kind, _, generation_id = (entry.charge_key or "").partition(":")
    return generation_id if kind == "generation" else None


def history_line(entry: StatementLine, prompts: Mapping[str, str]) -> HistoryLine:
    """Return a ledger entry in words, with a link to what caused it.

    ``prompts`` are those of the generations, by id: an entry's line begins with its prompt.
    """
    title, detail = _describe(entry)
    href = None
    generation_id = generation_of(entry)
    if generation_id:
        href = f"/generations/{generation_id}"
        if prompt := " ".join(prompts.get(generation_id, "").split()):
            detail = f"{title}, {detail}" if detail else title
            title = shorten(prompt, PROMPT_CHARACTERS_SHOWN)
    elif entry.grant_origin and entry.grant_origin.startswith(("purchase:", "invoice:")):
        href = receipts.PATH.format(entry.grant_origin.split(":")[1])
    return HistoryLine(entry, title, detail, href)


def shorten(text: str, characters_max: int) -> str:
    """Return a text, cut at the last word that fits, with an ellipsis where it was cut."""
    if len(text) <= characters_max:
        return text
    head = text[:characters_max]
    return f"{head.rpartition(' ')[0] or head}…"


def _describe(entry: StatementLine) -> tuple[str, str | None]:
    name = _OPERATION_NAMES.get(entry.operation, entry.operation.replace("-", " ").capitalize())
    match entry.kind:
        case "release":
            return f"{name}, not made", "Nothing was charged"
        case "debt":
            return "Repaid debt", "Credits owed after a refund or a lost dispute"
        case "revoke" if entry.charge_id is not None:
            # Returned by a charge to a grant that owes: it never became spendable.
            return "Repaid debt", "Credits owed after a refund or a lost dispute"
        case "revoke" if entry.note == "dispute":
            return "Lost dispute", "Credits of the disputed payment were removed"
        case "revoke":
            return "Refunded purchase", "Credits of the refunded payment were removed"
        case "restore":
            return "Restored credits", "A refund failed or a dispute was won"
        case "expiry":
            return f"{name} expired", None
        case "refund":
            return "Returned", entry.note
        case _:
            if entry.type == "PURCHASE" and entry.note:
                return entry.note, None
            return name, entry.note


def balance(viewer: Viewer, parts: Sequence[BalancePart]) -> Balance:
    """Return a member's balance in full, for the dashboard."""
    catalog = get(Catalog)
    cheapest = min(catalog.packs, key=lambda pack: pack.price_minor, default=None)
    return Balance(
        **vars(viewer),
        parts=parts,
        makes=[
            BalanceYield(
                f"{model.name} ({model.default_quality})" if model.qualities else model.name,
                viewer.balance_micro // model.price_micro,
                max(0, model.price_micro - viewer.balance_micro),
            )
            for model in catalog.models
        ],
        from_minor=cheapest.price_minor if cheapest else 0,
        currency=cheapest.currency if cheapest else catalog.currency,
    )
