"""The description that the routes which spend have in common."""

from __future__ import annotations

from functools import partial
from typing import Final

from creditapp.api.generations import REFUSALS
from creditapp.api.requests import CREDIT_HEADERS
from creditapp.chat.live import TurnUnsettled
from creditapp.errors import ModelNotFound, UnsupportedParameter
from creditapp.http.documented import Documented
from creditapp.http.openai_errors import OpenAIError

ANSWER_HEADERS: Final = (*CREDIT_HEADERS, "Idempotent-Replayed")

documents_spending = partial(
    Documented,
    headers=["Idempotency-Key", "X-Max-Credits"],
    answer_headers=ANSWER_HEADERS,
    refuses=[*REFUSALS, ModelNotFound, TurnUnsettled, UnsupportedParameter],
    error=OpenAIError,
)
"""Decorator that documents a route which spends."""
