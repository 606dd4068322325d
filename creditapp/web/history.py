"""Prompt history: search what was sent, use it again, forget it."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp.catalog import Catalog
from creditapp.db import reading, transaction
from creditapp.generation import prompts
from creditapp.generation.models import Prompt
from creditapp.generation.prompts import PromptFilter
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.rendering import go, page_or_block, plural, with_query
from creditapp.http.viewer import caller, notify
from creditapp.services import get
from creditapp.web import view_models

PAGE_SIZE = 24

pages = Blueprint("history", __name__)


@pages.get("/history")
@policy("user")
def history() -> Response:
    """Show a member's prompts, those used last first, with a search and a filter."""
    chosen = PromptFilter(forms.text("q", 200).strip(), forms.text("operation"))
    page = prompts.list_prompts(reading(), caller(), chosen, PAGE_SIZE, forms.text("cursor"))
    fields = {"q": chosen.search, "operation": chosen.operation}
    return page_or_block(
        "pages/history/index.html",
        "list",
        items=[view_models.sent_prompt(prompt) for prompt in page.rows],
        q=chosen.search,
        operation=chosen.operation,
        operations=view_models.prompt_filters(chosen),
        here=with_query("/history", fields),
        next_url=page.next_cursor and with_query("/history", fields | {"cursor": page.next_cursor}),
    )


@pages.get("/history/<prompt_id>/use")
@policy("user")
def use(prompt_id: str) -> Response:
    """Open the studio with its form filled in as this prompt was sent last."""
    return go(_studio_url(prompts.find_prompt(reading(), caller(), prompt_id)))


@pages.post("/history/<prompt_id>/forget")
@policy("user")
def forget(prompt_id: str) -> Response:
    """Delete one prompt for good."""
    with transaction() as writing:
        prompts.forget(writing, caller(), prompt_id)
    notify("info", text="The prompt is forgotten.")
    return go(forms.next_path("/history"))


@pages.post("/history/forget")
@policy("user")
def forget_all() -> Response:
    """Delete the whole history for good."""
    with transaction() as writing:
        count = prompts.forget_all(writing, caller())
    notify("info", text=f"{count} {plural(count, 'prompt is', 'prompts are')} forgotten.")
    return go("/history")


def _studio_url(prompt: Prompt) -> str:
    """Return the studio's address with the form filled in; a model that is gone is left out."""
    model = get(Catalog).model(prompt.model)
    fields = {
        "operation": prompt.operation,
        "prompt": prompt.text,
        "model": model.id if model else "",
        **prompt.settings,
    }
    return with_query("/", fields)
