"""Structured logs: one line per event with the request id, never a secret or a prompt."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import EventDict, WrappedLogger

from creditapp.errors import AppError

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
            _shorten_traceback,
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


def error_fields(error: BaseException) -> dict[str, object]:
    """Return the loggable parts of an error: its type, and file, line and function of each frame.

    The cause follows its effect. Texts and values are left out: they may quote a prompt, a key or
    an email address.
    """
    at: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        if cause is not error:
            at.append(f"caused by {type(cause).__name__}")
        frames = traceback.extract_tb(cause.__traceback__)
        at += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return {"error_type": type(error).__name__, "at": at}


@contextmanager
def failures_logged(event: str, **ids: object) -> Iterator[None]:
    """Log an error with ``ids`` for what fails inside, a refusal apart, and raise it again."""
    try:
        yield
    except AppError:
        raise
    except Exception as error:
        structlog.get_logger(__name__).error(event, **ids, **error_fields(error))
        raise


def _shorten_traceback(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the traceback that another library logs; its last line is the error's text."""
    raised = event.pop("exc_info", None)
    error = sys.exc_info()[1] if raised is True else raised
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event.update(error_fields(error))
    return event


def _hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key in event:
        if key.endswith(_HIDDEN):
            event[key] = "(hidden)"
    return event
