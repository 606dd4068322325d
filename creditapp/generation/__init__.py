"""Generations: an order, its price, its hold, the provider's work, its settlement.

``submit``, ``submit_batch``, ``cancel``, ``delete`` and ``erase`` own their transactions; the
others take the caller's session.
"""

from creditapp.generation.adoption import adopt
from creditapp.generation.cancel import cancel
from creditapp.generation.deletion import delete, erase
from creditapp.generation.funding import Caller
from creditapp.generation.queries import GenerationResult, assets_of, count_of_guest, find
from creditapp.generation.submit import (
    PricedOrder,
    PriceRose,
    SubmitHooks,
    price,
    submit,
    submit_batch,
)
