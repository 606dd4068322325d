"""Mails: queued with what happened, rendered and sent by a job, by SMTP or as files."""

from creditapp.emails import preferences
from creditapp.emails.delivery import (
    LINKS,
    EmailService,
    Renderer,
    deliver,
    deliver_due,
    notify,
    queue,
    sweep,
)
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
from creditapp.emails.preferences import (
    choose,
    read_unsubscribe,
    switch_off,
    switched_off,
)
from creditapp.emails.reminders import warn_low_balance, warn_of_expiry

__all__ = [
    "ABOUT_MONEY",
    "ACCOUNT",
    "EVENTS",
    "LINKS",
    "OPTIONAL",
    "EmailService",
    "FileMailer",
    "Mail",
    "MailFailed",
    "Mailer",
    "Message",
    "Renderer",
    "SmtpMailer",
    "choose",
    "deliver",
    "deliver_due",
    "mailer_for",
    "notify",
    "preferences",
    "queue",
    "read_unsubscribe",
    "sweep",
    "switch_off",
    "switched_off",
    "warn_low_balance",
    "warn_of_expiry",
]
