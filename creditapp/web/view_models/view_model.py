"""The kind of all shapes."""

from typing import Any

ViewModel = dict[str, Any]
"""Plain data under the names that a component documents."""
