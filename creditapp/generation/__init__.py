"""Generations: an order, its price, its hold, the provider's work, its settlement.

``submit``, ``cancel`` and ``delete`` own their transactions; the others take the caller's session.
"""

from creditapp.generation.adoption import adopt
from creditapp.generation.cancel import cancel, delete
from creditapp.generation.funding import Caller
from creditapp.generation.queries import GenerationResult, assets_of, count_of_guest, find
from creditapp.generation.submit import PricedOrder, PriceRose, SubmitHooks, price, submit
