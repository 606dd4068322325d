"""Credits in numbers and words: packs, costs, lines of history, the purse."""

from __future__ import annotations

from collections.abc import Sequence

from creditapp.catalog import Catalog
from creditapp.catalog import amount as amount_text
from creditapp.catalog.packs import packs_view
from creditapp.http.viewer import Viewer
from creditapp.ledger import StatementLine
from creditapp.payments.purchases import receipts
from creditapp.services import get
from creditapp.web.view_models.view_model import ViewModel

_OPERATION_NAMES = {
    "text-to-image": "Text to image",
    "welcome": "Welcome credits",
    "free": "Address confirmed",
    "purchase": "Pack",
    "promotion": "Promotion",
    "gift": "Gift",
    "referral": "Referral",
    "admin": "Given by support",
    "refund": "Given back",
    "subscription": "Plan credits",
    "transfer": "Transfer",
}


def packs(currency: str = "") -> list[ViewModel]:
    """Return the packs on sale as the pack list compares them, priced in a currency."""
    catalog = get(Catalog)
    cheapest = min(catalog.models, key=lambda model: model.lowest_micro)
    usual = catalog.model(catalog.default_model) or cheapest
    compared = [cheapest] if usual is cheapest else [cheapest, usual]
    return [
        {
            "id": view.pack.id,
            "name": view.pack.name,
            "credits_micro": view.pack.credits_micro,
            "price_minor": view.pack.price_minor,
            "currency": view.pack.currency,
            "each": view.each,
            "bonus_micro": view.bonus_micro or 0,
            "saving_percent": view.saving_percent or 0,
            "best_value": view.best_value,
            "makes": [
                {"name": model.name, "images": view.pack.credits_micro // model.price_micro}
                for model in compared
            ],
        }
        for view in packs_view(catalog, currency)
    ]


def cost_chart() -> list[ViewModel]:
    """Return what each model costs, for the chart beside the packs."""
    return [
        {
            "name": model.name,
            "cost_micro": model.lowest_micro,
            "max_micro": max(model.prices_micro.values()) if model.qualities else None,
        }
        for model in get(Catalog).models
    ]


def line(entry: StatementLine) -> ViewModel:
    """Return one line of history in words."""
    title, detail = _entry_words(entry)
    href = None
    if entry.charge_key and entry.charge_key.startswith("generation:"):
        href = f"/generations/{entry.charge_key.partition(':')[2]}"
    elif entry.grant_origin and entry.grant_origin.startswith("purchase:"):
        href = receipts.PATH.format(entry.grant_origin.partition(":")[2])
    elif entry.grant_origin and entry.grant_origin.startswith("invoice:"):
        href = receipts.PATH.format(entry.grant_origin.split(":")[1])
    return {
        "id": entry.id,
        "type": entry.type,
        "title": title,
        "detail": detail,
        "href": href,
        "amount_micro": entry.amount_micro,
        "after_micro": entry.balance_after_micro,
        "at": entry.effective_at,
    }


def _entry_words(entry: StatementLine) -> tuple[str, str | None]:
    name = _OPERATION_NAMES.get(entry.operation, entry.operation.replace("-", " ").capitalize())
    match entry.kind:
        case "release":
            return f"{name}, not made", "Nothing was charged"
        case "revoke":
            return "Refunded purchase", "These credits went back with the money"
        case "expiry":
            return f"{name} expired", None
        case "refund":
            return "Given back", entry.note
        case _:
            if entry.type == "PURCHASE" and entry.note:
                return entry.note, None
            return name, entry.note


def purse(looks: Viewer, parts: Sequence[ViewModel]) -> ViewModel:
    """Return a member's balance in full, as the dashboard shows it."""
    catalog = get(Catalog)
    cheapest = min(catalog.packs, key=lambda pack: pack.price_minor, default=None)
    return {
        "kind": looks.kind,
        "email": looks.email,
        "is_admin": looks.is_admin,
        "balance_micro": looks.balance_micro,
        "held_micro": looks.held_micro,
        "frozen_micro": looks.frozen_micro,
        "owed_micro": looks.owed_micro,
        "low": looks.low,
        "low_at_micro": looks.low_at_micro,
        "mode": looks.mode,
        "guest_remaining": 0,
        "guest_limit": 0,
        "guest_reset_at": None,
        "parts": list(parts),
        "makes": [
            {
                "name": f"{model.name} ({model.default_quality})"
                if model.qualities
                else model.name,
                "images": looks.balance_micro // model.price_micro,
                "short_micro": max(0, model.price_micro - looks.balance_micro),
            }
            for model in catalog.models
        ],
        "from_minor": cheapest.price_minor if cheapest else 0,
        "currency": cheapest.currency if cheapest else catalog.currency,
    }


def credits_words(micro: int) -> str:
    """Return an amount with its unit, for a sentence."""
    return amount_text(get(Catalog), micro)
