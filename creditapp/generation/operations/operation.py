"""The interface of an operation: what a worker asks of a provider, and what a delivery costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from creditapp.catalog import Catalog, Quote, delivered_micro
from creditapp.catalog.models import IMAGE_OPERATIONS
from creditapp.generation.models import Generation
from creditapp.generation.orders import Order
from creditapp.generation.providers import Request, ServedModel, SourceFile


class Delivered(Protocol):
    """A delivered file, as far as its price depends on it."""

    @property
    def milliseconds(self) -> int | None:
        """The length of audio and video."""
        ...


class Operation(ABC):
    """One thing that people can order. ``id`` is the catalog's name of it, ``order`` its form."""

    id: ClassVar[str]
    order: ClassVar[type[Order]]
    unit: ClassVar[str] = "images"
    """The plural of what it delivers, for the history of a partial delivery."""

    def served_by(self, catalog: Catalog, model_id: str) -> ServedModel | None:
        """Return the catalog's entry that names the provider; None when it left the catalog.

        It is the model's, or the operation's own where the operation has a price of its own.
        """
        if self.id in IMAGE_OPERATIONS:
            return catalog.model(model_id)
        return catalog.operation(self.id)

    @abstractmethod
    def request(self, generation: Generation, files: Mapping[str, SourceFile]) -> Request:
        """Return what to ask of the provider; ``files`` are the sources by their ids."""

    def charge_micro(self, catalog: Catalog, quote: Quote, files: Sequence[Delivered]) -> int:
        """Return the price of the delivered ``files``: by the catalog, never above the quote."""
        return delivered_micro(catalog, quote, images=len(files))
