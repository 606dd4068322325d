"""The interface of an operation: what a worker asks of a provider, and what a delivery costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from creditapp.catalog import Catalog, Quote, delivered_micro
from creditapp.generation.models import Generation
from creditapp.generation.orders import Order
from creditapp.generation.providers import ProducedImage, Progress, Route, ServedModel, ShouldStop


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
        own = catalog.operation(self.id)
        return own if own and own.provider_model else catalog.model(model_id)

    @abstractmethod
    def produce(
        self, generation: Generation, route: Route, *, progress: Progress, should_stop: ShouldStop
    ) -> Iterator[ProducedImage]:
        """Ask the provider and yield each file as it is delivered; raise ``ProviderError``."""

    def charge_micro(self, catalog: Catalog, quote: Quote, files: Sequence[object]) -> int:
        """Return the price of the delivered ``files``: by the catalog, never above the quote."""
        return delivered_micro(catalog, quote, images=len(files))
