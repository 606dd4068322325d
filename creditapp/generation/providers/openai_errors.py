"""Map a vendor's errors to ours: the public code, whether to retry, whether we may be billed."""

from __future__ import annotations

from creditapp.generation.providers.protocol import (
    GenerationFailed,
    GenerationTimeout,
    PromptRejected,
    ProviderError,
    ProviderUnavailable,
)

REJECTED_CODES = frozenset({"moderation_blocked", "content_policy_violation"})
"""Codes of a refused prompt; the second is of retired models and several compatible vendors."""

EXHAUSTED_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of an empty account at the vendor: only a payment helps."""

# Errors before the request was sent, by name: the transport (httpx) is the SDK's dependency, not
# ours.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
_NOT_SENDABLE = frozenset({"LocalProtocolError", "UnsupportedProtocol"})


def of_transport(cause: str, *, timed_out: bool) -> ProviderError:
    """Return the error for a call without an answer; ``cause`` names the transport's exception.

    A request that was sent may have been served and charged: its outcome is unknown.
    """
    if cause in _NEVER_SENT | _NOT_SENDABLE:
        return ProviderUnavailable(permanent=cause in _NOT_SENDABLE, reason=f"not_sent_{cause}")
    if timed_out:
        return GenerationTimeout(reason="timeout")
    return GenerationFailed(reason=f"connection_{cause}")


def of_status(status: int, code: object) -> ProviderError:
    """Return the error for an unsuccessful status and its ``code``."""
    reason = f"http_{status}"
    if status in (400, 403, 422) and code in REJECTED_CODES:
        return PromptRejected(reason=str(code))
    if code in EXHAUSTED_CODES:
        return ProviderUnavailable(permanent=True, reason=str(code))
    if status in (408, 504, 522, 524):
        return GenerationTimeout(reason=reason)
    if status >= 500:
        return GenerationFailed(reason=reason)
    if status in (400, 413, 415, 422):
        return GenerationFailed(permanent=True, may_have_charged=False, reason=reason)
    # 401 and 403: the key; 404: the model or the address; 3xx: the address has moved. Waiting
    # helps only against a queue (409, 425, 429).
    return ProviderUnavailable(permanent=status not in (409, 425, 429), reason=reason)
