"""The catalog: models, prices, packs, plans, and what follows from them."""

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import amount, figure
from creditapp.catalog.load import CatalogInvalid, load_catalog
from creditapp.catalog.models import (
    IMAGE_OPERATIONS,
    IMAGE_TO_IMAGE,
    MEDIA_OPERATIONS,
    OPERATIONS,
    TEXT_TO_IMAGE,
    TIERS,
    TOKEN_OPERATIONS,
    LanguageModel,
    Model,
    Operation,
    Shape,
)
from creditapp.catalog.packs import PackView, PlanView, makes_text, packs_view, plans_view
from creditapp.catalog.price_list import ModelCost, OperationCost, credit_costs
from creditapp.catalog.pricing import (
    PriceRequest,
    Quote,
    delivered_micro,
    guest_refusal,
    quote,
)
from creditapp.catalog.products import Agents, Pack, Plan
from creditapp.catalog.recommendations import (
    ModelOffer,
    Recommendation,
    Standing,
    Way,
    offers,
    recommend,
    standing,
)
from creditapp.catalog.tokens import Line, affordable_output_tokens, token_cost_micro

__all__ = [
    "IMAGE_OPERATIONS",
    "IMAGE_TO_IMAGE",
    "MEDIA_OPERATIONS",
    "OPERATIONS",
    "TEXT_TO_IMAGE",
    "TIERS",
    "TOKEN_OPERATIONS",
    "Agents",
    "Catalog",
    "CatalogInvalid",
    "LanguageModel",
    "Line",
    "Model",
    "ModelCost",
    "ModelOffer",
    "Operation",
    "OperationCost",
    "Pack",
    "PackView",
    "Plan",
    "PlanView",
    "PriceRequest",
    "Quote",
    "Recommendation",
    "Shape",
    "Standing",
    "Way",
    "affordable_output_tokens",
    "amount",
    "credit_costs",
    "delivered_micro",
    "figure",
    "guest_refusal",
    "load_catalog",
    "makes_text",
    "offers",
    "packs_view",
    "plans_view",
    "quote",
    "recommend",
    "standing",
    "token_cost_micro",
]
