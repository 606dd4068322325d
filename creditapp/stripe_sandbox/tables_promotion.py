"""What the requests about coupons and promotion codes may carry."""

from __future__ import annotations

from creditapp.stripe_sandbox.parameters import Boolean, Choice, Fields, Integer, Percent, Text
from creditapp.stripe_sandbox.tables import (
    AMOUNT_MAX,
    EXPAND,
    METADATA,
    METADATA_FIRST,
    PAGE_CREATED,
    Table,
)

COUPON_CREATE: Table = {
    "amount_off": Integer(minimum=1, maximum=AMOUNT_MAX),
    "currency": Text(length_max=3),
    "duration": Choice(of=("forever", "once", "repeating")),
    "duration_in_months": Integer(minimum=1, maximum=36),
    "id": Text(length_max=200),
    "max_redemptions": Integer(minimum=1, maximum=AMOUNT_MAX),
    "metadata": METADATA,
    "name": Text(length_max=40),
    "percent_off": Percent(),
    "redeem_by": Integer(),
    **EXPAND,
}
COUPON_RETRIEVE = EXPAND
COUPON_LIST = PAGE_CREATED

PROMOTION_CODE_CREATE: Table = {
    "active": Boolean(),
    "code": Text(length_max=500),
    "expires_at": Integer(),
    "max_redemptions": Integer(minimum=1, maximum=AMOUNT_MAX),
    "metadata": METADATA_FIRST,
    "promotion": Fields(
        required=True, of={"coupon": Text(), "type": Choice(required=True, of=("coupon",))}
    ),
    **EXPAND,
}
PROMOTION_CODE_RETRIEVE = EXPAND
PROMOTION_CODE_UPDATE: Table = {"active": Boolean(), "metadata": METADATA, **EXPAND}
PROMOTION_CODE_LIST: Table = {
    "active": Boolean(),
    "code": Text(),
    "coupon": Text(),
    **PAGE_CREATED,
}
