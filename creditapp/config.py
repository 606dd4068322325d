"""Settings, read from the environment by this module alone.

Every name is described in ``docs/configuration.md``; a test compares the two. An invalid value
stops the start with one line that names the variable and says what to set.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ENVIRONMENTS = ("demo", "production", "testing")
_PLACEHOLDER = re.compile(r"(change|replace).?(me|this)|your.?secret|default|insecure", re.I)
"""Words of copied examples, which a random key does not contain."""
STRIPE_PRICE_NAMES = ("STARTER", "PRO", "ENTERPRISE", "MONTHLY", "YEARLY")

NAMES = (
    "ADMIN_API_KEY",
    "ANTHROPIC_API_KEY",
    "BILLING_PORTAL_RETURN_URL",
    "CREDITAPP_AUTOMATIC_TAX",
    "CREDITAPP_CATALOG",
    "CREDITAPP_DATA",
    "CREDITAPP_DEBUG",
    "CREDITAPP_ENV",
    "CREDITAPP_HOLD_WELCOME",
    "CREDITAPP_JOBS",
    "CREDITAPP_LOG_LEVEL",
    "CREDITAPP_MAIL_FROM",
    "CREDITAPP_PROMOTION_CODES",
    "CREDITAPP_REFUND_DAYS",
    "CREDITAPP_SELLER_ADDRESS",
    "CREDITAPP_SELLER_NAME",
    "CREDITAPP_SELLER_TAX_ID",
    "CREDITAPP_SITE_NAME",
    "CREDITAPP_SUPPORT_EMAIL",
    "CREDITAPP_THREADS",
    "CREDITAPP_TRUSTED_PROXIES",
    "DATABASE_URL",
    "HOST",
    "MAIL_URL",
    "MEDIA_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "PORT",
    "REDIS_URL",
    "SECRET_KEY",
    "SITE_URL",
    "STRIPE_API_BASE",
    "STRIPE_PUBLISHABLE_KEY",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    *(f"STRIPE_PRICE_{name}" for name in STRIPE_PRICE_NAMES),
)
"""All environment variables, except those that catalog entries name for their providers."""


class SettingsInvalid(Exception):
    """An invalid setting, which stops the start; its text is one line that says what to set."""


@dataclass(frozen=True)
class Settings:
    """All settings, typed and validated."""

    env: str
    data_dir: Path
    database_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    site_url: str
    site_name: str
    support_email: str
    seller_name: str
    """The seller on receipts; empty means the site's name."""
    seller_address: str
    """One line; receipts break it at semicolons."""
    seller_tax_id: str
    host: str
    port: int
    threads: int
    debug: bool
    log_level: str
    catalog: str
    trusted_proxies: int
    jobs: str
    """``embedded`` in the web process, or ``worker`` in processes of their own."""
    hold_welcome_until_verified: bool
    mail_url: str = field(repr=False)
    mail_from: str
    media_url: str
    redis_url: str = field(repr=False)
    stripe_secret_key: str = field(repr=False)
    stripe_webhook_secret: str = field(repr=False)
    stripe_publishable_key: str
    stripe_api_base: str
    billing_portal_return_url: str
    promotion_codes: bool
    automatic_tax: bool
    refund_days: int
    """For how many days unspent credits can be refunded; 0 means never."""
    admin_api_key: str = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    """The variables that catalog entries name: keys and base URLs of providers, price ids."""

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
        return hmac.new(self.secret_key.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def load_settings(environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read and validate the environment; raise ``SettingsInvalid``.

    ``overrides`` are fields of ``Settings`` that tests and commands set themselves.
    """
    variables = dict(os.environ if environ is None else environ)
    env = _one_of(variables, "CREDITAPP_ENV", ENVIRONMENTS, "demo")
    data_dir = Path(variables.get("CREDITAPP_DATA") or ".data").resolve()
    host = variables.get("HOST") or "127.0.0.1"
    port = _whole(variables, "PORT", 8000, 0, 65535)
    values: dict[str, object] = {
        "env": env,
        "data_dir": data_dir,
        "database_url": _database_url(variables.get("DATABASE_URL", ""), data_dir),
        "secret_key": variables.get("SECRET_KEY", ""),
        "site_url": _url(variables, "SITE_URL", f"http://{_browsable(host)}:{port}"),
        "site_name": variables.get("CREDITAPP_SITE_NAME") or "CreditApp",
        "support_email": variables.get("CREDITAPP_SUPPORT_EMAIL", ""),
        "seller_name": variables.get("CREDITAPP_SELLER_NAME", ""),
        "seller_address": variables.get("CREDITAPP_SELLER_ADDRESS", ""),
        "seller_tax_id": variables.get("CREDITAPP_SELLER_TAX_ID", ""),
        "host": host,
        "port": port,
        "threads": _whole(variables, "CREDITAPP_THREADS", 32, 4, 512),
        "debug": _flag(variables, "CREDITAPP_DEBUG"),
        "log_level": _one_of(
            variables, "CREDITAPP_LOG_LEVEL", ("debug", "info", "warning", "error"), "info"
        ),
        "catalog": variables.get("CREDITAPP_CATALOG") or "studio",
        "trusted_proxies": _whole(variables, "CREDITAPP_TRUSTED_PROXIES", 0, 0, 10),
        "jobs": _one_of(variables, "CREDITAPP_JOBS", ("embedded", "worker"), "embedded"),
        "hold_welcome_until_verified": _flag(variables, "CREDITAPP_HOLD_WELCOME"),
        "mail_url": variables.get("MAIL_URL", ""),
        "mail_from": variables.get("CREDITAPP_MAIL_FROM") or "CreditApp <credits@localhost>",
        "media_url": variables.get("MEDIA_URL") or f"file:{data_dir / 'media'}",
        "redis_url": variables.get("REDIS_URL", ""),
        "stripe_secret_key": variables.get("STRIPE_SECRET_KEY", ""),
        "stripe_webhook_secret": variables.get("STRIPE_WEBHOOK_SECRET", ""),
        "stripe_publishable_key": variables.get("STRIPE_PUBLISHABLE_KEY", ""),
        "stripe_api_base": _url(variables, "STRIPE_API_BASE", ""),
        "promotion_codes": _flag(variables, "CREDITAPP_PROMOTION_CODES"),
        "automatic_tax": _flag(variables, "CREDITAPP_AUTOMATIC_TAX"),
        "refund_days": _whole(variables, "CREDITAPP_REFUND_DAYS", 14, 0, 3650),
        "billing_portal_return_url": _url(variables, "BILLING_PORTAL_RETURN_URL", ""),
        "admin_api_key": variables.get("ADMIN_API_KEY", ""),
        "environ": variables,
    }
    values.update(overrides)
    if not values["secret_key"] and env != "production":
        values["secret_key"] = _kept_secret(Path(str(values["data_dir"])))
    settings = Settings(**values)  # type: ignore[arg-type]  # each value was typed above by its reader
    if settings.production:
        _check_production(settings)
    if settings.stripe_secret_key and not settings.stripe_webhook_secret:
        raise SettingsInvalid(
            "STRIPE_WEBHOOK_SECRET is missing: set the signing secret (whsec_...) of the webhook "
            "endpoint, required to verify webhooks."
        )
    return settings


def _check_production(settings: Settings) -> None:
    """Refuse to start in production with a demo's defaults."""
    if len(settings.secret_key) < 32:
        raise SettingsInvalid(
            "SECRET_KEY is missing or shorter than 32 characters: set a long random text."
        )
    if _PLACEHOLDER.search(settings.secret_key):
        raise SettingsInvalid("SECRET_KEY is a placeholder: set a long random text.")
    if settings.sandbox:
        raise SettingsInvalid(
            "STRIPE_SECRET_KEY is missing: production does not start on the payment sandbox."
        )
    if settings.livemode and settings.stripe_api_base.startswith("http://"):
        raise SettingsInvalid(
            "STRIPE_API_BASE must begin with https://, because STRIPE_SECRET_KEY is a live key."
        )
    if "SITE_URL" not in settings.environ:
        raise SettingsInvalid("SITE_URL is missing: set the https address of the site.")
    if not settings.site_url.startswith("https://"):
        raise SettingsInvalid("SITE_URL must begin with https:// in production.")
    if not settings.mail_url:
        raise SettingsInvalid(
            "MAIL_URL is missing: set smtp://user:password@host:port, to send confirmations and "
            "password resets."
        )


def _database_url(url: str, data_dir: Path) -> str:
    if not url:
        return f"sqlite:///{data_dir / 'creditapp.sqlite'}"
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    if url.startswith("postgresql://"):
        return "postgresql+psycopg://" + url.removeprefix("postgresql://")
    if url.startswith(("postgresql+psycopg://", "sqlite:///")):
        return url
    raise SettingsInvalid("DATABASE_URL must be sqlite:///file or postgresql://user@host/name.")


def _kept_secret(data_dir: Path) -> str:
    """Return the demo's secret key, created at the first start and stored in the data folder."""
    path = data_dir / "secret_key"
    try:
        # The folder holds hashes, prompts and emails: other users of the machine have no access.
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_once(path, secrets.token_urlsafe(48))
    except OSError as error:
        raise SettingsInvalid(f"CREDITAPP_DATA cannot be written: {error.strerror}.") from None
    secret = path.read_text()
    if len(secret) < 32:
        raise SettingsInvalid("The file secret_key in CREDITAPP_DATA is damaged: delete it.")
    return secret


def _write_once(path: Path, text: str) -> None:
    """Create a file that only this user can read; of two processes at once, one creates it.

    It gets its name when it is complete, so that no process reads half of it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(temporary, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        temporary.unlink()


def _whole(variables: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = variables.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingsInvalid(f"{name} must be a whole number from {low} to {high}.")
    return int(text)


def _flag(variables: Mapping[str, str], name: str) -> bool:
    text = variables.get(name, "").strip().lower()
    if text in ("", "0", "false", "no", "off"):
        return False
    if text in ("1", "true", "yes", "on"):
        return True
    raise SettingsInvalid(f"{name} must be 1 or 0.")


def _one_of(variables: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    text = variables.get(name, "").strip().lower() or default
    if text not in allowed:
        raise SettingsInvalid(f"{name} must be one of {', '.join(allowed)}.")
    return text


def _url(variables: Mapping[str, str], name: str, default: str) -> str:
    text = (variables.get(name, "").strip() or default).rstrip("/")
    if not text:
        return ""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsInvalid(f"{name} must be an address that begins with http:// or https://.")
    return text


def _browsable(host: str) -> str:
    """Return a host that a browser on this machine can open."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  # compared, not bound
