"""Fixtures shared by the payment tests."""

from __future__ import annotations

import pytest

from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp


@pytest.fixture
def plans(shop_app: ShopApp) -> PlanShop:
    """A shop that sells plans, its clock set to the sandbox's."""
    return PlanShop(shop_app)
