"""Mails: queued with what happened, rendered and sent by a job, by SMTP or as files."""

from creditapp.emails import preferences
from creditapp.emails.events import ABOUT_MONEY, ACCOUNT, EVENTS, OPTIONAL
from creditapp.emails.mailers import (
    FileMailer,
    Mailer,
    MailFailed,
    Message,
    SmtpMailer,
    mailer_for,
)
from creditapp.emails.models import Mail
from creditapp.emails.post import LINKS, Post, Renderer, deliver, deliver_due, queue, sweep, tell
from creditapp.emails.preferences import (
    choose,
    read_unsubscribe,
    switch_off,
    switched_off,
)
from creditapp.emails.warnings import warn_low_balance, warn_of_expiry

__all__ = [
    "ABOUT_MONEY",
    "ACCOUNT",
    "EVENTS",
    "LINKS",
    "OPTIONAL",
    "FileMailer",
    "Mail",
    "MailFailed",
    "Mailer",
    "Message",
    "Post",
    "Renderer",
    "SmtpMailer",
    "choose",
    "deliver",
    "deliver_due",
    "mailer_for",
    "preferences",
    "queue",
    "read_unsubscribe",
    "sweep",
    "switch_off",
    "switched_off",
    "tell",
    "warn_low_balance",
    "warn_of_expiry",
]
