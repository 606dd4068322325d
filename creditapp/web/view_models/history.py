"""The prompt history: its rows and its filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from creditapp.catalog import Catalog
from creditapp.generation.models import Prompt
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.prompts import PromptFilter
from creditapp.http.rendering import with_query
from creditapp.services import get


@dataclass(frozen=True)
class SentPrompt:
    """The ``prompt_card`` component."""

    id: str
    text: str
    operation: str
    model: str | None
    last_used_at: datetime
    uses: int


@dataclass(frozen=True)
class FilterItem:
    """One item of the ``filter`` component."""

    label: str
    href: str
    current: bool


def sent_prompt(prompt: Prompt) -> SentPrompt:
    """Return one row, with the catalog's names; what left the catalog keeps its id."""
    catalog = get(Catalog)
    operation, model = catalog.operation(prompt.operation), catalog.model(prompt.model)
    return SentPrompt(
        id=prompt.id,
        text=prompt.text,
        operation=operation.name if operation else prompt.operation,
        model=model.name if model else None if prompt.model == prompt.operation else prompt.model,
        last_used_at=prompt.last_used_at,
        uses=prompt.uses,
    )


def prompt_filters(chosen: PromptFilter) -> Sequence[FilterItem]:
    """Return the filter: all prompts, and each offered operation that takes one."""
    catalog = get(Catalog)
    names = [(entry.id, entry.name) for entry in catalog.operations if _takes_prompt(entry.id)]
    return [
        FilterItem(
            label=name,
            href=with_query("/history", {"q": chosen.search, "operation": operation}),
            current=chosen.operation == operation,
        )
        for operation, name in [("", "All"), *names]
    ]


def _takes_prompt(operation_id: str) -> bool:
    operation = OPERATIONS.get(operation_id)
    return operation is not None and "prompt" in operation.order.model_fields
