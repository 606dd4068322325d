"""The table of operations agrees with the catalog and with the studio's forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from creditapp.catalog import OPERATIONS as CATALOG_OPERATIONS
from creditapp.catalog import TEXT_TO_IMAGE, load_catalog
from creditapp.generation.operations import OPERATIONS, Operation
from tests.generation.orders import ORDERS

FORMS = Path(__file__).parents[2] / "templates" / "pages" / "studio" / "operations"


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_has_the_catalogs_name_an_order_and_a_form(operation: Operation) -> None:
    assert operation.id in CATALOG_OPERATIONS
    assert operation.order.operation == operation.id
    assert operation.id in ORDERS, "the tests of charges need a sample order"
    assert (FORMS / f"{operation.id.replace('-', '_')}.html").is_file()


def test_the_provider_is_the_models_or_the_operations_own() -> None:
    catalog = load_catalog("studio")
    images = OPERATIONS[TEXT_TO_IMAGE]
    assert images.served_by(catalog, "gpt-image") is catalog.model("gpt-image")
    assert images.served_by(catalog, "of-yesterday") is None
    served = OPERATIONS["audio"].served_by(catalog, "audio")
    assert served is not None
    assert (served.id, served.provider_model, served.native_n) == (
        "audio",
        "gpt-4o-mini-tts",
        False,
    )
