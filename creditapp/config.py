"""Settings, read from the environment by this module alone.

Every name is described in ``docs/configuration.md``; a test compares the two. An invalid value
stops the start with one line that names the variable and says what to set.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError

from creditapp.rail_settings import RailSettings
from creditapp.setting_types import (
    DatabaseUrl,
    Ed25519Key,
    HeaderName,
    HttpAddress,
    SecretKeys,
    weakness_of,
)
from creditapp.stored_secrets import make_private_folder, stored_secret

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which Prometheus' library shares metrics between processes."""


class SettingsInvalid(Exception):
    """An invalid setting, which stops the start; its text is one line that says what to set."""


def _site_url(values: dict[str, Any]) -> str:
    """Return an address that a browser on this machine can open."""
    host = values["host"]
    browsable = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  # compared, not bound
    return f"http://{browsable}:{values['port']}"


def _stored_in_demo(values: dict[str, Any], name: str, random_bytes: int) -> str:
    """Return a secret of the data folder; production has none, but for what is set."""
    if values["env"] == "production":
        return ""
    try:
        return stored_secret(values["data_dir"], name, random_bytes=random_bytes)
    except OSError as error:
        raise SettingsInvalid(f"CREDITAPP_DATA cannot be written: {error.strerror}.") from None
    except ValueError:
        raise SettingsInvalid(f"The file {name} in CREDITAPP_DATA is damaged: delete it.") from None


def _is_tried_alone(values: dict[str, Any]) -> bool:
    return values["env"] != "production" and values["host"] in ("127.0.0.1", "localhost", "::1")


_LOWER_CASE = BeforeValidator(str.lower)


class Settings(RailSettings):
    """All settings, typed and validated: the alias of each is its environment variable.

    Secrets are left out of the text of the object.
    """

    model_config = ConfigDict(frozen=True)

    env: Annotated[Literal["demo", "production", "testing"], _LOWER_CASE] = Field(
        "demo", alias="CREDITAPP_ENV"
    )
    data_dir: Annotated[Path, AfterValidator(Path.resolve)] = Field(
        Path(".data"), alias="CREDITAPP_DATA", validate_default=True
    )
    database_url: DatabaseUrl = Field(
        default_factory=lambda values: f"sqlite:///{values['data_dir'] / 'creditapp.sqlite'}",
        alias="DATABASE_URL",
        repr=False,
    )
    host: str = Field("127.0.0.1", alias="HOST")
    port: int = Field(8000, alias="PORT", ge=0, le=65535)
    site_url: HttpAddress = Field(default_factory=_site_url, alias="SITE_URL")
    site_name: str = Field("CreditApp", alias="CREDITAPP_SITE_NAME")
    support_email: str = Field("", alias="CREDITAPP_SUPPORT_EMAIL")
    terms_url: HttpAddress = Field("", alias="CREDITAPP_TERMS_URL")
    """The operator's own terms; empty means the page that comes with the app."""
    privacy_url: HttpAddress = Field("", alias="CREDITAPP_PRIVACY_URL")
    seller_name: str = Field("", alias="CREDITAPP_SELLER_NAME")
    """The seller on receipts; empty means the site's name."""
    seller_address: str = Field("", alias="CREDITAPP_SELLER_ADDRESS")
    """One line; receipts break it at semicolons."""
    seller_tax_id: str = Field("", alias="CREDITAPP_SELLER_TAX_ID")
    threads: int = Field(32, alias="CREDITAPP_THREADS", ge=4, le=512)
    web_processes: int = Field(1, alias="CREDITAPP_WEB_PROCESSES", ge=1, le=64)
    """More than one needs PostgreSQL and Redis."""
    debug: bool = Field(False, alias="CREDITAPP_DEBUG")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _LOWER_CASE] = Field(
        "info", alias="CREDITAPP_LOG_LEVEL"
    )
    catalog: str = Field("studio", alias="CREDITAPP_CATALOG")
    client_ip_header: HeaderName = Field("X-Forwarded-For", alias="CREDITAPP_CLIENT_IP_HEADER")
    """The header in which trusted proxies name the client's address."""
    trusted_proxies: int = Field(0, alias="CREDITAPP_TRUSTED_PROXIES", ge=0, le=10)
    jobs: Annotated[Literal["embedded", "worker"], _LOWER_CASE] = Field(
        "embedded", alias="CREDITAPP_JOBS"
    )
    """``embedded`` in the web process, or ``worker`` in processes of their own."""
    drain_seconds: int = Field(25, alias="CREDITAPP_DRAIN_SECONDS", ge=0, le=3600)
    """How long a worker that is asked to stop lets its jobs end."""
    moderation: Annotated[Literal["off", "openai"], _LOWER_CASE] = Field(
        "off", alias="CREDITAPP_MODERATION"
    )
    moderation_failure: Annotated[Literal["allow", "refuse"], _LOWER_CASE] = Field(
        "allow", alias="CREDITAPP_MODERATION_FAILURE"
    )
    """Whether a prompt about which the moderation did not answer is made."""
    c2pa_certificate: Path | None = Field(None, alias="CREDITAPP_C2PA_CERTIFICATE")
    """The file of the certificate that signs delivered files, with its chain; none: unsigned."""
    c2pa_key: Path | None = Field(None, alias="CREDITAPP_C2PA_KEY")
    """The file of its private key."""
    hold_welcome_until_verified: bool = Field(False, alias="CREDITAPP_HOLD_WELCOME")
    mail_url: str = Field("", alias="MAIL_URL", repr=False)
    mail_from: str = Field("CreditApp <credits@localhost>", alias="CREDITAPP_MAIL_FROM")
    media_url: str = Field(
        default_factory=lambda values: f"file:{values['data_dir'] / 'media'}", alias="MEDIA_URL"
    )
    webhooks_to_loopback: bool = Field(
        default_factory=_is_tried_alone, alias="CREDITAPP_WEBHOOKS_TO_LOOPBACK"
    )
    """Whether members' webhooks may go to http addresses of this machine."""
    aws_access_key_id: str = Field("", alias="AWS_ACCESS_KEY_ID", repr=False)
    aws_secret_access_key: str = Field("", alias="AWS_SECRET_ACCESS_KEY", repr=False)
    """The keys of the bucket that ``MEDIA_URL`` names."""
    redis_url: str = Field("", alias="REDIS_URL", repr=False)
    stripe_secret_key: str = Field("", alias="STRIPE_SECRET_KEY", repr=False)
    stripe_webhook_secret: str = Field("", alias="STRIPE_WEBHOOK_SECRET", repr=False)
    stripe_publishable_key: str = Field("", alias="STRIPE_PUBLISHABLE_KEY")
    stripe_api_base: HttpAddress = Field("", alias="STRIPE_API_BASE")
    billing_portal_return_url: HttpAddress = Field("", alias="BILLING_PORTAL_RETURN_URL")
    promotion_codes: bool = Field(False, alias="CREDITAPP_PROMOTION_CODES")
    automatic_tax: bool = Field(False, alias="CREDITAPP_AUTOMATIC_TAX")
    refund_days: int = Field(14, alias="CREDITAPP_REFUND_DAYS", ge=0, le=3650)
    """For how many days unspent credits can be refunded; 0 means never."""
    admin_api_key: str = Field("", alias="ADMIN_API_KEY", repr=False)
    metrics_token: str = Field("", alias="CREDITAPP_METRICS_TOKEN", repr=False)
    """Empty means that ``/metrics`` is public."""
    secret_key: str = Field(
        default_factory=lambda values: _stored_in_demo(values, "secret_key", 48),
        alias="SECRET_KEY",
        repr=False,
    )
    previous_secret_keys: SecretKeys = Field((), alias="CREDITAPP_PREVIOUS_SECRET_KEYS", repr=False)
    """Secret keys of before, which still decrypt people's own keys of vendors, and nothing else."""
    agents_key: Ed25519Key = Field(
        default_factory=lambda values: _stored_in_demo(values, "agents_key", 32),
        alias="CREDITAPP_AGENTS_KEY",
        repr=False,
    )
    """The key that signs payment requests and receipts; production without one sells no credits
    to agents."""
    environ: Mapping[str, str] = Field(repr=False)
    """All variables: catalog entries name keys and base URLs of providers, and price ids."""

    @property
    def production(self) -> bool:
        """Whether this is a production environment."""
        return self.env == "production"

    @property
    def sandbox(self) -> bool:
        """Whether payments go to the payment sandbox that comes with the app."""
        return not self.stripe_secret_key

    @property
    def livemode(self) -> bool:
        """Whether Stripe's key moves real money."""
        return self.stripe_secret_key.startswith(("sk_live_", "rk_live_"))

    @property
    def webhook_secret(self) -> str:
        """The secret that signs Stripe's events; for the sandbox it is derived."""
        return self.stripe_webhook_secret or f"whsec_{self.derived_key('sandbox')[:32]}"

    def derived_key(self, purpose: str) -> str:
        """Return a key for one purpose, so that no two uses share the secret key itself."""
        return self.derived_keys(purpose)[0]

    def derived_keys(self, purpose: str) -> tuple[str, ...]:
        """Return the same of every accepted secret key, the current one first."""
        secrets = [key.encode() for key in (self.secret_key, *self.previous_secret_keys)]
        return tuple(hmac.new(key, purpose.encode(), hashlib.sha256).hexdigest() for key in secrets)


NAMES = tuple(field.alias for field in Settings.model_fields.values() if field.alias)
"""All environment variables, except those that catalog entries name."""


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the environment; raise ``SettingsInvalid``. A blank variable is unset."""
    variables = dict(os.environ if environ is None else environ)
    stripped = {name: text.strip() for name, text in variables.items() if text.strip()}
    try:
        settings = Settings.model_validate({**stripped, "environ": variables})
    except ValidationError as error:
        raise SettingsInvalid(_message(error)) from None
    if settings.production:
        _check_production(settings)
    if settings.stripe_secret_key and not settings.stripe_webhook_secret:
        raise SettingsInvalid(
            "STRIPE_WEBHOOK_SECRET is missing: set the signing secret (whsec_...) of the webhook "
            "endpoint, required to verify webhooks."
        )
    if settings.web_processes > 1:
        _check_shared_stores(settings)
    _make_data_folder(settings.data_dir)
    return settings


def _check_shared_stores(settings: Settings) -> None:
    """Refuse several web processes on stores that each would have to itself."""
    if settings.database_url.startswith("sqlite"):
        raise SettingsInvalid(
            "CREDITAPP_WEB_PROCESSES needs PostgreSQL for more than one: set DATABASE_URL."
        )
    if not settings.redis_url:
        raise SettingsInvalid(
            "CREDITAPP_WEB_PROCESSES needs Redis for more than one, to share the rate limits: "
            "set REDIS_URL."
        )


def _make_data_folder(folder: Path) -> None:
    try:
        make_private_folder(folder)
    except OSError as error:
        raise SettingsInvalid(f"CREDITAPP_DATA cannot be written: {error.strerror}.") from None


def share_metrics(settings: Settings) -> None:
    """Let this process and those that it starts count their metrics together, from zero.

    Call it before ``prometheus_client`` is imported, which reads the variable then. Each process
    writes files of its own there, and every process's ``/metrics`` adds them up.
    """
    folder = settings.data_dir / "metrics"
    folder.mkdir(mode=0o700, exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()
    os.environ[METRICS_FOLDER] = str(folder)


def _message(error: ValidationError) -> str:
    """Return the first error as one line: the variable and its rule, without its value."""
    details = error.errors(include_url=False, include_input=False)[0]
    name = details["loc"][0]
    rules = {"bool_parsing": "must be 1 or 0", "int_parsing": "must be a whole number"}
    rule = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{name} {rules.get(details['type'], rule)}."


def _check_production(settings: Settings) -> None:
    """Refuse to start in production with a demo's defaults."""
    if len(settings.secret_key) < 32:
        raise SettingsInvalid(
            "SECRET_KEY is missing or shorter than 32 characters: set a long random text."
        )
    for name, secret in (
        ("SECRET_KEY", settings.secret_key),
        ("ADMIN_API_KEY", settings.admin_api_key),
        ("CREDITAPP_AGENTS_KEY", settings.agents_key),
        *(("CREDITAPP_PREVIOUS_AGENTS_KEYS", each) for each in settings.previous_agents_keys),
        ("CREDITAPP_METRICS_TOKEN", settings.metrics_token),
    ):
        if weakness := weakness_of(secret):
            raise SettingsInvalid(f"{name} {weakness}: set a long random text.")
    if settings.webhooks_to_loopback:
        raise SettingsInvalid(
            "CREDITAPP_WEBHOOKS_TO_LOOPBACK must be 0 in production: it opens this machine."
        )
    if settings.sandbox:
        raise SettingsInvalid(
            "STRIPE_SECRET_KEY is missing: production does not start on the payment sandbox."
        )
    if settings.livemode and settings.stripe_api_base.startswith("http://"):
        raise SettingsInvalid(
            "STRIPE_API_BASE must begin with https://, because STRIPE_SECRET_KEY is a live key."
        )
    if "site_url" not in settings.model_fields_set:
        raise SettingsInvalid("SITE_URL is missing: set the https address of the site.")
    if not settings.site_url.startswith("https://"):
        raise SettingsInvalid("SITE_URL must begin with https:// in production.")
    if not settings.mail_url:
        raise SettingsInvalid(
            "MAIL_URL is missing: set smtp://user:password@host:port, to send confirmations and "
            "password resets."
        )
