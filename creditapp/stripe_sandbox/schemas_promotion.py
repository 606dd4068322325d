"""Parameter schemas of coupons and promotion codes."""

from __future__ import annotations

from creditapp.stripe_sandbox.parameters import Boolean, Choice, Integer, Object, Percent, Text
from creditapp.stripe_sandbox.schemas import (
    AMOUNT_MAX,
    EXPAND,
    METADATA,
    METADATA_FIRST,
    PAGE_CREATED,
    Schema,
)

COUPON_CREATE: Schema = {
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

PROMOTION_CODE_CREATE: Schema = {
    "active": Boolean(),
    "code": Text(length_max=500),
    "expires_at": Integer(),
    "max_redemptions": Integer(minimum=1, maximum=AMOUNT_MAX),
    "metadata": METADATA_FIRST,
    "promotion": Object(
        required=True, of={"coupon": Text(), "type": Choice(required=True, of=("coupon",))}
    ),
    **EXPAND,
}
PROMOTION_CODE_RETRIEVE = EXPAND
PROMOTION_CODE_UPDATE: Schema = {"active": Boolean(), "metadata": METADATA, **EXPAND}
PROMOTION_CODE_LIST: Schema = {
    "active": Boolean(),
    "code": Text(),
    "coupon": Text(),
    **PAGE_CREATED,
}
