"""View models: typed dictionaries under the names that the components document."""

from creditapp.http.problem_view import problem_view as problem
from creditapp.web.view_models.choices import (
    available_ids,
    counts,
    models,
    price_panel,
    qualities,
    sizes,
)
from creditapp.web.view_models.credit import (
    Balance,
    BalancePart,
    balance,
    cost_chart,
    credits_words,
    history_line,
    packs,
)
from creditapp.web.view_models.images import image_card, job
from creditapp.web.view_models.plans import plan, plans, refundable, seats, upgrade
from creditapp.web.view_models.receipts import ReceiptView, receipt
from creditapp.web.view_models.topups import Topup, topup
