"""The catalog: models, prices, packs, plans, and what follows from them."""

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import amount
from creditapp.catalog.load import CatalogInvalid, load_catalog
from creditapp.catalog.models import IMAGE_TO_IMAGE, OPERATIONS, TEXT_TO_IMAGE, Model, Operation
from creditapp.catalog.packs import PackView, packs_view, plans_view, yield_text
from creditapp.catalog.price_list import credit_costs
from creditapp.catalog.pricing import PriceRequest, Quote, delivered_micro, guest_refusal, quote
from creditapp.catalog.products import Pack, Plan
from creditapp.catalog.recommendations import affordability, offers, recommend
from creditapp.catalog.tokens import (
    affordable_output_tokens,
    token_cost_micro,
    worst_token_cost_micro,
)
