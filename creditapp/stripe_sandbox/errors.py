"""Refusals in Stripe's own words and shape."""

from __future__ import annotations

from typing import Any

_DOCS = "https://docs.stripe.com/error-codes#"


class Refused(Exception):
    """A request that Stripe would refuse; becomes ``{"error": {...}}`` with its status."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        kept: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        """Whether what was done before stays: a card's refusal leaves a failed payment."""
        self.error: dict[str, Any] = {"message": message, "type": kind}
        if code:
            self.error["code"] = code
            self.error["doc_url"] = _DOCS + code.replace("_", "-")
        if param:
            self.error["param"] = param


def missing_object(kind: str, object_id: str, *, param: str, in_path: bool = False) -> Refused:
    """Return the refusal of an id that names nothing: 404 in a path, 400 in a parameter."""
    return Refused(
        f"No such {kind.replace('_', '')}: '{object_id}'",
        status=404 if in_path else 400,
        code="resource_missing",
        param=param,
    )
