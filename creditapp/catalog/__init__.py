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
    Affordability,
    ModelOffer,
    Recommendation,
    Way,
    affordability,
    offers,
    recommend,
)
from creditapp.catalog.tokens import CostLine, affordable_output_tokens, token_cost_micro
