"""Emails: queued in the transaction of their event, then sent by a job over SMTP or to files."""

from creditapp.emails import preferences
from creditapp.emails.delivery import (
    LINKS,
    EmailService,
    Renderer,
    deliver,
    deliver_due,
    notify,
    preview,
    queue,
    sweep,
)
from creditapp.emails.events import ABOUT_MONEY, ACCOUNT, EVENTS, OPTIONAL
from creditapp.emails.mailers import (
    EmailFailed,
    FileMailer,
    Mailer,
    Message,
    SmtpMailer,
    mailer_for,
)
from creditapp.emails.models import Email
from creditapp.emails.preferences import (
    read_unsubscribe,
    save_preferences,
    unsubscribe,
    unsubscribed_events,
)
from creditapp.emails.reminders import queue_expiry_reminders, queue_low_balance_reminders
