"""Mails: queued with what happened, rendered and sent by a job, by SMTP or as files."""

from creditapp.emails.mailers import (
    FileMailer,
    Mailer,
    MailFailed,
    Message,
    SmtpMailer,
    mailer_for,
)
from creditapp.emails.models import Mail
from creditapp.emails.post import LINKS, Post, Renderer, deliver, deliver_due, queue, sweep

__all__ = [
    "LINKS",
    "FileMailer",
    "Mail",
    "MailFailed",
    "Mailer",
    "Message",
    "Post",
    "Renderer",
    "SmtpMailer",
    "deliver",
    "deliver_due",
    "mailer_for",
    "queue",
    "sweep",
]
