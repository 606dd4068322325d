"""What a vendor's refusal means for a person, for their credits and for our bill."""

from __future__ import annotations

from creditapp.generation.providers.protocol import (
    GenerationFailed,
    GenerationTimeout,
    PromptRejected,
    ProviderError,
    ProviderUnavailable,
)

REJECTED_CODES = frozenset({"moderation_blocked", "content_policy_violation"})
"""The second is what the retired models said, and what several compatible vendors still say."""

EXHAUSTED_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""The operator's account with the vendor is empty: waiting does not help, paying does."""

# The transport's errors before the request had left us, by name: the transport is the SDK's own
# dependency and not one of ours.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
_NOT_SENDABLE = frozenset({"LocalProtocolError", "UnsupportedProtocol"})


def of_transport(cause: str, *, timed_out: bool) -> ProviderError:
    """Return the error for a call without an answer; ``cause`` names the transport's exception.

    What had been sent may well have been made and charged: then the outcome is unknown.
    """
    if cause in _NEVER_SENT | _NOT_SENDABLE:
        return ProviderUnavailable(permanent=cause in _NOT_SENDABLE, reason=f"not_sent_{cause}")
    if timed_out:
        return GenerationTimeout(reason="timeout")
    return GenerationFailed(reason=f"connection_{cause}")


def of_status(status: int, code: object) -> ProviderError:
    """Return the error for an answer with a status that is not a success, and its ``code``."""
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
    # 401 and 403: the key; 404: the model or the address; 3xx: the address has moved. Only a
    # queue (409, 425, 429) gets better by waiting.
    return ProviderUnavailable(permanent=status not in (409, 425, 429), reason=reason)
