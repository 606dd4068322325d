"""My page: the four widgets."""

from flask import Blueprint

from creditapp.catalog import TEXT_TO_IMAGE
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page
from creditapp.http.viewer import viewer
from creditapp.web import studio_form, studio_pricing, view_models

pages = Blueprint("my_page", __name__)


@pages.get("/my-page")
@policy("public")
def my_page() -> str:
    """Show the widgets; the query chooses what is priced."""
    form = studio_form.parse(TEXT_TO_IMAGE)
    priced = studio_pricing.price_form(form).priced
    return render_page(
        "pages/my_page/index.html",
        models=view_models.models(priced[0], viewer()),
        selected=priced[0].quote.model,
        quote=view_models.price_panel(priced, viewer()),
    )
