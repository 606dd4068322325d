"""Map a vendor's errors to ours: the public code, whether to retry, whether we may be billed.

The sentences are for users; a vendor's own text may hold the prompt or a key, and is never shown.
"""

from __future__ import annotations

import re

from creditapp.generation.providers.protocol import (
    AccountEmpty,
    GenerationFailed,
    GenerationTimeout,
    KeyRefused,
    PromptRejected,
    ProviderError,
    ProviderUnavailable,
)

REJECTED_CODES = frozenset({"moderation_blocked", "content_policy_violation"})
"""Codes of a refused prompt; the second is fal's and of several compatible vendors."""

EXHAUSTED_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of an empty account at the vendor: only a payment helps."""

RETRY_SECONDS_MAX = 3600

REQUEST_REFUSED = "The model does not take this order as it is. Change the text, size or source."
VENDOR_FAILED = "The model's vendor had an error of its own. Try again, or choose another model."
NO_CONNECTION = "The model's vendor cannot be reached right now. Try again in some minutes."
CUT_OFF = "The connection to the model's vendor broke before its answer was whole."
UNREADABLE = "The model's vendor sent an answer that cannot be read."
NO_IMAGE = "The model's answer held no usable image."
NO_RECORDING = "The model's answer held no usable audio or video."
NO_FILE = "The model's vendor finished this order without a file."
TOO_LARGE = "The model's vendor sent more than can be taken."
OTHER_MODEL = "The model's vendor answered with another model than the one that was ordered."

# Errors before the request was sent, by the names of the transport's exceptions.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
_NOT_SENDABLE = frozenset({"LocalProtocolError", "UnsupportedProtocol"})


def of_transport(cause: str, *, timed_out: bool) -> ProviderError:
    """Return the error for a call without an answer; ``cause`` names the transport's exception.

    A request that was sent may have been served and charged: its outcome is unknown.
    """
    if cause in _NEVER_SENT | _NOT_SENDABLE:
        permanent = cause in _NOT_SENDABLE
        return ProviderUnavailable(NO_CONNECTION, permanent=permanent, reason=f"not_sent_{cause}")
    if timed_out:
        return GenerationTimeout(reason="timeout")
    return GenerationFailed(CUT_OFF, reason=f"connection_{cause}")


def of_status(status: int, code: object, retry_after: str | None = None) -> ProviderError:
    """Return the error for an unsuccessful status, its ``code`` and its ``Retry-After``."""
    reason = f"http_{status}"
    if status in (400, 403, 422) and code in REJECTED_CODES:
        return PromptRejected(reason=str(code))
    if code in EXHAUSTED_CODES or status == 402:
        exhausted = str(code) if code in EXHAUSTED_CODES else reason
        return AccountEmpty(reason=exhausted)
    if status in (408, 504, 522, 524):
        return GenerationTimeout(reason=reason)
    if status >= 500:
        return GenerationFailed(VENDOR_FAILED, reason=reason)
    if status in (400, 413, 415, 422):
        return GenerationFailed(
            REQUEST_REFUSED, permanent=True, may_have_charged=False, reason=reason
        )
    if status in (401, 403):
        return KeyRefused(reason=reason)
    if status in (409, 425, 429):
        # Only waiting helps against a queue.
        return ProviderUnavailable(_busy(retry_after), permanent=False, reason=reason)
    # 404: the model or the address; 3xx: the address has moved.
    return ProviderUnavailable(permanent=True, reason=reason)


def _busy(retry_after: str | None) -> str:
    """Return the sentence; a date, or too long a wait, is not told as a number of seconds."""
    told = re.fullmatch(r"(\d{1,6})(\.\d+)?", retry_after or "", re.ASCII)
    seconds = int(told[1]) if told else 0
    when = f"in {seconds} s" if 0 < seconds <= RETRY_SECONDS_MAX else "in some minutes"
    return f"The model's vendor has too many orders at the moment. Try again {when}."
