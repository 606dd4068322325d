"""The cost of an answer: its headers, and its member ``credits``."""

from __future__ import annotations

from collections.abc import Mapping

from creditapp.api.generations import REFUSALS as ORDER_REFUSALS
from creditapp.api.generations import ChargeAnswer
from creditapp.chat import TurnResult
from creditapp.chat.live import TurnUnsettled
from creditapp.errors import ModelNotFound, UnsupportedParameter
from creditapp.generation.models import Generation
from creditapp.http.viewer import forget_viewer, viewer
from creditapp.units import credits_number

ANSWER_HEADERS = ["X-Credits-Cost", "X-Credits-Remaining", "Idempotent-Replayed"]
NOTHING: Mapping[str, object] = {}
REQUEST_HEADERS = ["Idempotency-Key", "X-Max-Credits"]
REFUSALS = (*ORDER_REFUSALS, ModelNotFound, TurnUnsettled, UnsupportedParameter)
"""The errors of every request that spends."""


def of_turn(result: TurnResult) -> ChargeAnswer:
    """Return what a turn cost, and what is left."""
    return ChargeAnswer(used_micro=result.record.cost_micro, remaining_micro=result.available_micro)


def of_generation(generation: Generation) -> ChargeAnswer:
    """Return what a finished generation cost, and what is left by now."""
    forget_viewer()
    remaining_micro = viewer().balance_micro
    return ChargeAnswer(used_micro=generation.charged_micro, remaining_micro=remaining_micro)


def headers_of(charge: ChargeAnswer) -> dict[str, str]:
    """Return the headers that say the same."""
    return {
        "X-Credits-Cost": str(credits_number(charge.used_micro)),
        "X-Credits-Remaining": str(credits_number(charge.remaining_micro)),
    }
