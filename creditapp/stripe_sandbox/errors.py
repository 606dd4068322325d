"""API errors in Stripe's wording and format."""

from __future__ import annotations

from typing import Any

_DOCS = "https://docs.stripe.com/error-codes#"


class StripeAPIError(Exception):
    """An error that Stripe would return, sent as ``{"error": {...}}`` with its HTTP status."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        keep_changes: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.keep_changes = keep_changes
        """Whether earlier changes are kept: a card error leaves a failed payment behind."""
        self.body: dict[str, Any] = {"message": message, "type": kind}
        if code:
            self.body["code"] = code
            self.body["doc_url"] = _DOCS + code.replace("_", "-")
        if param:
            self.body["param"] = param


def missing_object(
    kind: str, object_id: str, *, param: str, in_path: bool = False
) -> StripeAPIError:
    """Return the error for an unknown id: 404 in a path, 400 in a parameter."""
    return StripeAPIError(
        f"No such {kind.replace('_', '')}: '{object_id}'",
        status=404 if in_path else 400,
        code="resource_missing",
        param=param,
    )
