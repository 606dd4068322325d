"""CreditApp: a self-hosted credits store and AI studio.

``create_app`` assembles the app: it reads the settings, builds each service or takes the one it was
given, and connects the hooks of lower packages with the packages that act on them.
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from sqlalchemy.orm import Session

from creditapp import agents, api_keys, credentials, emails, jobs, ledger, logs, webhooks_out
from creditapp.accounts import AccountRules, SignedUp, SignUpCredits
from creditapp.catalog import Catalog, CatalogInvalid, load_catalog
from creditapp.chat import ChatProviders, ChatSlots, exchanges
from creditapp.clock import Clock
from creditapp.config import Settings, SettingsInvalid, load_settings
from creditapp.db import init_app as init_database
from creditapp.emails import EmailService, Mailer, mailer_for
from creditapp.emails.rendering import renderer
from creditapp.generation import SubmitHooks, adopt, deletion
from creditapp.generation.moderation import Moderation, moderation_of
from creditapp.generation.providers import OfflineProvider, Providers
from creditapp.generation.signing import Signer, signer_of
from creditapp.media import Media, open_media
from creditapp.payments.account_end import end_account
from creditapp.payments.auto_topup import charge as topup_charge
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.webhooks import WebhookHooks
from creditapp.runtime import tasks as tasks  # its decorators register the jobs
from creditapp.services import get, provide, provide_computed

ROOT = Path(__file__).resolve().parent.parent


def create_app(
    settings: Settings | None = None,
    *,
    gateway: StripeGateway | None = None,
    providers: Providers | None = None,
    mailer: Mailer | None = None,
    clock: Clock | None = None,
) -> Flask:
    """Return the app, ready to serve; raise ``SettingsInvalid`` for settings that prevent a start.

    The settings choose every service that is not given: Stripe or the payment sandbox,
    OpenAI-compatible vendors or the offline provider, SMTP or email written to files.
    """
    settings = settings or load_settings()
    logs.configure_logging(settings.log_level, human=settings.env == "demo")
    app = Flask(
        "creditapp", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static")
    )
    app.config["TEMPLATES_AUTO_RELOAD"] = settings.debug
    app.config["TESTING"] = settings.env == "testing"
    provide(app, Settings, settings)
    gateway = gateway or _gateway(app, settings)
    provide(app, StripeGateway, gateway)
    clock = clock or _clock(gateway)
    provide(app, Clock, clock)
    provide(app, Catalog, _load_catalog(settings))
    # Computed on each use, because the catalog may be replaced while the app runs.
    provide_computed(app, AccountRules, lambda: _account_rules(settings, get(Catalog)))
    provide(app, Providers, providers or _providers(settings))
    chat_providers = ChatProviders(settings.environ, offline=not settings.production)
    provide(app, ChatProviders, chat_providers)
    provide(app, ChatSlots, ChatSlots(settings.threads))
    provide(app, SubmitHooks, SubmitHooks(topup_due=topup_charge.enqueue_if_low))
    provide(app, Moderation, moderation_of(settings))
    provide(app, Media, open_media(settings))
    provide(app, Signer, signer_of(settings))
    if settings.agents_key:
        keys = settings.agents_key, settings.previous_agents_keys
        provide(app, agents.Identity, agents.Identity(settings.site_url, *keys))
    provide(app, agents.Rails, agents.rails_of(settings))
    provide(app, WebhookHooks, WebhookHooks(agent_payment=agents.checkout.on_event))
    provide(app, EmailService, _email_service(app, settings, mailer, clock))
    init_database(app, settings.database_url)
    jobs.init_app(app, settings.database_url, settings.data_dir)

    from creditapp import api, http, web

    http.init_app(app, settings)
    web.init_app(app)
    api.init_app(app)
    return app


def _load_catalog(settings: Settings) -> Catalog:
    try:
        return load_catalog(settings.catalog)
    except CatalogInvalid as error:
        raise SettingsInvalid(f"CREDITAPP_CATALOG: {error}") from None


def _account_rules(settings: Settings, catalog: Catalog) -> AccountRules:
    return AccountRules(
        secret=settings.derived_key("accounts"),
        credits=SignUpCredits(
            welcome_micro=catalog.welcome_micro,
            free_micro=catalog.free_micro,
            hold_until_verified=settings.hold_welcome_until_verified,
            daily_budget_micro=catalog.welcome_daily_budget_micro,
        ),
        signed_up=(_queue_verification, _adopt_images),
        api_key_mode=catalog.api_key_mode,
        deleted=(
            *(end_account, deletion.delete_all, exchanges.delete_all),
            *(credentials.remove_keys, api_keys.delete_keys, webhooks_out.delete_all),
            _erase_texts,
        ),
    )


def _erase_texts(session: Session, user_id: str) -> None:
    ledger.erase_texts(session.connection(), "user", user_id)


def _queue_verification(session: Session, event: SignedUp) -> None:
    emails.queue(
        session,
        "verify",
        to=event.user.email,
        user_id=event.user.id,
        context={},
        key=f"verify:{event.user.id}:{event.now:%Y%m%d%H%M%S}",
        now=event.now,
    )


def _adopt_images(session: Session, event: SignedUp) -> None:
    if event.guest is not None:
        adopt(session, event.guest, event.user.id)


def _providers(settings: Settings) -> Providers:
    # Production shows a model without a key as unavailable; it never sells a preview.
    offline = None if settings.production else OfflineProvider()
    return Providers(settings.environ, offline=offline)


def _email_service(
    app: Flask, settings: Settings, mailer: Mailer | None, clock: Clock
) -> EmailService:
    return EmailService(
        mailer=mailer
        or mailer_for(settings.mail_url, settings.mail_from, settings.data_dir / "mail"),
        render=renderer(app.jinja_env, settings),
        site_url=settings.site_url,
        secret=settings.derived_key("accounts"),
        clock=clock,
        queued=lambda email_id: jobs.enqueue("email", email_id),
    )


def _gateway(app: Flask, settings: Settings) -> StripeGateway:
    if settings.sandbox:
        from creditapp.payments.stripe.server import mount_sandbox

        return mount_sandbox(app, settings)
    return StripeGateway(
        settings.stripe_secret_key,
        settings.webhook_secret,
        settings.stripe_api_base,
        promotion_codes=settings.promotion_codes,
        automatic_tax=settings.automatic_tax,
    )


def _clock(gateway: StripeGateway) -> Clock:
    # A demo uses the sandbox's clock, which can be moved ahead by months.
    clock: Clock = getattr(gateway, "clock", None) or Clock()
    return clock
