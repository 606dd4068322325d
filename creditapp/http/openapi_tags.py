"""Tags of the API's description: the groups in which a reader looks for a call, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Tag:
    """A group of calls, and the modules of routes that belong to it."""

    name: str
    description: str
    modules: tuple[str, ...]


TAGS: Final = (
    Tag("Generate", "Images, video and speech.", ("api.generate", "api.generations")),
    Tag("Uploads", "Files to start from.", ("api.uploads",)),
    Tag("Chat", "Language models, charged by tokens.", ("api.chat", "api.usage")),
    Tag("Prices", "Costs before anything is charged.", ("api.quotes", "api.prices")),
    Tag("Credits", "Balance and history.", ("api.credits",)),
    Tag("Buying", "Packs, plans, top-ups.", ("api.purchases", "api.plans", "api.auto_topup")),
    Tag("API keys", "Keys for programs, with budgets.", ("api.keys",)),
    Tag("Webhooks", "Events that your server receives.", ("api.webhook_endpoints",)),
    Tag(
        "Features that spend",
        "Credits for programs of your own.",
        ("api.spending", "api.access_tokens", "api.example"),
    ),
    Tag("OpenAI's shape", "The same for OpenAI's SDKs.", ("api.v1",)),
    Tag("Model Context Protocol", "The same as tools of an assistant.", ("api.mcp",)),
    Tag(
        "Agents",
        "Image credits without an account, by HTTP 402.",
        (
            *("api.agents", "api.payment_requests", "api.agent_receipts", "api.agent_images"),
            *("api.did", "web.discovery"),
        ),
    ),
    Tag(
        "Operating",
        "For the operator and the payment provider.",
        ("api.grants", "api.price_sync", "web.webhooks", "web.health"),
    ),
    Tag("This document", "The API's description.", ("api.openapi", "web.api_docs")),
)


def tag_of(module: str) -> str:
    """Return the tag of a module of routes; raise ``LookupError`` for one that belongs to none."""
    name = module.removeprefix("creditapp.")
    for tag in TAGS:
        if any(name == each or name.startswith(f"{each}.") for each in tag.modules):
            return tag.name
    raise LookupError(f"{module} belongs to no tag: add it to TAGS")
