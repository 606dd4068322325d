"""Commands about the catalog: its faults, and what each price earns."""

from __future__ import annotations

from collections.abc import Sequence

import click

from creditapp.catalog import Catalog, CatalogInvalid, load_catalog
from creditapp.catalog.margins import Margin, margins, unexplained_losses
from creditapp.cli.context import say
from creditapp.config import load_settings
from creditapp.units import credits_number, credits_text

CATALOG = click.argument("catalog", required=False)


@click.group()
def catalog() -> None:
    """Check a catalog, or print what it earns: a preset, a file, or the configured one."""


@catalog.command()
@CATALOG
@click.option("--json", "as_json", is_flag=True)
def check(catalog: str | None, as_json: bool) -> None:
    """Name the first fault of a catalog, and what it sells below its cost."""
    read = _read(catalog)
    losses = [margin for margin in margins(read) if margin.loses]
    unsaid = unexplained_losses(read)
    text = f"{read.name} has no faults."
    if losses:
        text += f" {len(losses)} prices are below the provider's, {len(unsaid)} without a reason."
    say({"catalog": read.name, "losses": len(losses), "withoutReason": len(unsaid)}, text, as_json)
    if unsaid:
        lines = sorted({f"{each.entry} {each.variant}".strip() for each in unsaid})
        raise click.ClickException(
            "Sold below cost without sold_below in provider_cost: " + ", ".join(lines)
        )


@catalog.command("margin")
@CATALOG
@click.option("--json", "as_json", is_flag=True)
def show_margins(catalog: str | None, as_json: bool) -> None:
    """Print what each result earns or loses, for every pack and plan."""
    found = margins(_read(catalog))
    facts = {
        "margins": [
            {
                "sale": each.sale,
                "entry": each.entry,
                "variant": each.variant or None,
                "credits": credits_number(each.price_micro),
                "paid": f"{float(each.paid):.4f}",
                "cost": None if each.cost is None else f"{float(each.cost):.4f}",
                "percent": each.percent,
                "soldBelow": each.sold_below if each.loses else None,
            }
            for each in found
        ]
    }
    say(facts, table(found), as_json)


def table(found: Sequence[Margin]) -> str:
    """Return the margins as a table: a line for each result, a column for each sale."""
    sales = list(dict.fromkeys(each.sale for each in found))
    results = list(dict.fromkeys((each.entry, each.variant) for each in found))
    cells = {(each.entry, each.variant, each.sale): each for each in found}
    widths = [max(8, len(sale)) for sale in sales]
    first = max(len(f"{entry} {variant}") for entry, variant in results)
    head = f"{'result':<{first}}{'credits':>8}{'costs':>9}  "
    lines = [head + "  ".join(f"{s:>{w}}" for s, w in zip(sales, widths, strict=True))]
    losing: dict[str, list[str]] = {}
    for entry, variant in results:
        row = [cells[entry, variant, sale] for sale in sales]
        if any(each.loses for each in row) and row[0].sold_below:
            losing.setdefault(row[0].sold_below, []).append(entry)
        cost = "unknown" if row[0].cost is None else f"{float(row[0].cost):.4f}"
        credits = credits_text(row[0].price_micro)
        line = f"{f'{entry} {variant}'.strip():<{first}}{credits:>8}{cost:>9}  "
        shown = ("" if each.percent is None else f"{each.percent:+d} %" for each in row)
        lines.append(line + "  ".join(f"{s:>{w}}" for s, w in zip(shown, widths, strict=True)))
    notes = [f"{', '.join(dict.fromkeys(entries))}: {why}" for why, entries in losing.items()]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _read(name: str | None) -> Catalog:
    try:
        return load_catalog(name or load_settings().catalog)
    except CatalogInvalid as error:
        raise click.ClickException(str(error)) from None


COMMANDS = [catalog]
