"""Structured logs: one line per event with the request id, never a secret or a prompt."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

# Values of keys with these endings are replaced: no log may hold them.
_HIDDEN = ("password", "secret", "token", "authorization", "cookie", "prompt", "email", "api_key")


def configure_logging(level: str, *, human: bool) -> None:
    """Write all logs, ours and the libraries', through one structured pipeline to stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if human
        else structlog.processors.JSONRenderer()
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("alembic", "dbos", "werkzeug", "stripe", "openai", "httpx", "httpx2", "_granian"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key in event:
        if key.endswith(_HIDDEN):
            event[key] = "(hidden)"
    return event
