"""What the templates are handed: plain data in the shapes that the components document."""

from creditapp.web.shapes.choices import (
    available_ids,
    counts,
    models,
    qualities,
    sizes,
    till,
    ways,
)
from creditapp.web.shapes.credit import cost_chart, credits_words, line, packs, purse
from creditapp.web.shapes.pictures import again_url, asset, item, job
from creditapp.web.shapes.plans import plan, plans, refundable, seats, upgrade
from creditapp.web.shapes.problems import problem
from creditapp.web.shapes.receipts import receipt
from creditapp.web.shapes.shape import Shape
from creditapp.web.shapes.topups import topup

__all__ = [
    "Shape",
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
