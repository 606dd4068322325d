"""My page: the four widgets."""

from flask import Blueprint

from creditapp.generation import price
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page
from creditapp.http.viewer import viewer
from creditapp.web import studio_form, view_models

pages = Blueprint("my_page", __name__)


@pages.get("/my-page")
@policy("public")
def my_page() -> str:
    """Show the widgets; the query chooses what is priced."""
    order = studio_form.to_priced_order(studio_form.parse())
    return render_page(
        "pages/my_page/index.html",
        models=view_models.models(order, viewer()),
        selected=order.model,
        quote=view_models.price_panel(order, price(order).quote, viewer()),
    )
