"""API routes of coupons and promotion codes."""

from __future__ import annotations

from creditapp.stripe_sandbox import schemas_promotion as schemas
from creditapp.stripe_sandbox.objects import coupon, promotion_code
from creditapp.stripe_sandbox.routing import (
    Params,
    Route,
    get_or_404,
    list_handler,
    list_page,
    retrieve_handler,
)
from creditapp.stripe_sandbox.store import Json, Store

_COUPONS = "/v1/coupons"
_CODES = "/v1/promotion_codes"


def _update_code(store: Store, params: Params, code_id: str) -> Json:
    return promotion_code.update(store, get_or_404(store, "promotion_code", code_id), params)


def _list_codes(store: Store, params: Params) -> Json:
    filters = ("active", "code")
    where: dict[str, object] = {name: params[name] for name in filters if name in params}
    if "coupon" in params:
        where["promotion.coupon"] = params["coupon"]
    return list_page(store, "promotion_code", _CODES, params, where)


PROMOTION_ROUTES = (
    Route("POST", _COUPONS, schemas.COUPON_CREATE, coupon.create),
    Route("GET", _COUPONS, schemas.COUPON_LIST, list_handler("coupon", _COUPONS)),
    Route("GET", f"{_COUPONS}/<id>", schemas.COUPON_RETRIEVE, retrieve_handler("coupon")),
    Route("POST", _CODES, schemas.PROMOTION_CODE_CREATE, promotion_code.create),
    Route("GET", _CODES, schemas.PROMOTION_CODE_LIST, _list_codes),
    Route(
        "GET", f"{_CODES}/<id>", schemas.PROMOTION_CODE_RETRIEVE, retrieve_handler("promotion_code")
    ),
    Route("POST", f"{_CODES}/<id>", schemas.PROMOTION_CODE_UPDATE, _update_code),
)
