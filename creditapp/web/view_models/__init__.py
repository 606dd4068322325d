"""What the templates are handed: plain data in the shapes that the components document."""

from creditapp.http.problem_view import problem_view as problem
from creditapp.web.view_models.choices import (
    available_ids,
    counts,
    models,
    qualities,
    sizes,
    till,
    ways,
)
from creditapp.web.view_models.credit import cost_chart, credits_words, line, packs, purse
from creditapp.web.view_models.images import again_url, asset, item, job
from creditapp.web.view_models.plans import plan, plans, refundable, seats, upgrade
from creditapp.web.view_models.receipts import receipt
from creditapp.web.view_models.topups import topup
from creditapp.web.view_models.view_model import ViewModel

__all__ = [
    "ViewModel",
    "again_url",
    "asset",
    "available_ids",
    "cost_chart",
    "counts",
    "credits_words",
    "item",
    "job",
    "line",
    "models",
    "packs",
    "plan",
    "plans",
    "problem",
    "purse",
    "qualities",
    "receipt",
    "refundable",
    "seats",
    "sizes",
    "till",
    "topup",
    "upgrade",
    "ways",
]
