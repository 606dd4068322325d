"""The API's routes around coupons and promotion codes."""

from __future__ import annotations

from creditapp.stripe_sandbox import tables_promotion as tables
from creditapp.stripe_sandbox.objects import coupon, promotion_code
from creditapp.stripe_sandbox.routing import Given, Route, existing, listing, page_of, retrieving
from creditapp.stripe_sandbox.store import Books, Json

_COUPONS = "/v1/coupons"
_CODES = "/v1/promotion_codes"


def _update_code(books: Books, given: Given, code_id: str) -> Json:
    return promotion_code.update(books, existing(books, "promotion_code", code_id), given)


def _list_codes(books: Books, given: Given) -> Json:
    filters = ("active", "code")
    where: dict[str, object] = {name: given[name] for name in filters if name in given}
    if "coupon" in given:
        where["promotion.coupon"] = given["coupon"]
    return page_of(books, "promotion_code", _CODES, given, where)


PROMOTION_ROUTES = (
    Route("POST", _COUPONS, tables.COUPON_CREATE, coupon.create),
    Route("GET", _COUPONS, tables.COUPON_LIST, listing("coupon", _COUPONS)),
    Route("GET", f"{_COUPONS}/<id>", tables.COUPON_RETRIEVE, retrieving("coupon")),
    Route("POST", _CODES, tables.PROMOTION_CODE_CREATE, promotion_code.create),
    Route("GET", _CODES, tables.PROMOTION_CODE_LIST, _list_codes),
    Route("GET", f"{_CODES}/<id>", tables.PROMOTION_CODE_RETRIEVE, retrieving("promotion_code")),
    Route("POST", f"{_CODES}/<id>", tables.PROMOTION_CODE_UPDATE, _update_code),
)
