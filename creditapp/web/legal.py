"""Terms and privacy: what this site does, unless the operator has pages of their own."""

from __future__ import annotations

from flask import Blueprint, redirect
from werkzeug.wrappers import Response as AnyResponse

from creditapp.catalog import Catalog
from creditapp.config import Settings
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page
from creditapp.services import get

pages = Blueprint("legal", __name__)


@pages.get("/terms")
@policy("public")
def terms() -> AnyResponse | str:
    """Show what buyers agree to, or go to the operator's terms."""
    settings, catalog = get(Settings), get(Catalog)
    if settings.terms_url:
        return redirect(settings.terms_url, 303)
    address = [part.strip() for part in settings.seller_address.split(";")]
    seller = [settings.seller_name or settings.site_name, *address, settings.seller_tax_id]
    return render_page(
        "pages/legal/terms.html",
        seller=[line for line in seller if line],
        refund_days=settings.refund_days,
        sells_plans=any(not plan.free for plan in catalog.plans),
    )


@pages.get("/privacy")
@policy("public")
def privacy() -> AnyResponse | str:
    """Show what this site stores and who else gets it, or go to the operator's page."""
    settings = get(Settings)
    if settings.privacy_url:
        return redirect(settings.privacy_url, 303)
    return render_page("pages/legal/privacy.html", moderated=settings.moderation == "openai")
