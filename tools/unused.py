"""Report code that nothing calls: vulture over the application, without its tests.

Expressions in templates count as calls, exports by ``__all__`` do not. What a planned feature will
call is listed below; an entry that is called by now is reported too, so that the list stays true.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parent.parent

ROUTES = ("get", "post", "put", "patch", "delete", "route")
CALLED_BY_LIBRARIES = [
    *(f"@*.{method}" for method in ROUTES),
    *("@*.command", "@*.group", "@jobs.*", "@every", "@*.user_loader", "@*.errorhandler"),
    *(
        "@field_validator",
        "@model_validator",
        "@field_serializer",
        "@model_serializer",
        "@event.listens_for",
    ),
]
NAMES_OF_LIBRARIES = [
    *("is_anonymous", "get_id"),  # Flask-Login
    "get_timestamp",  # itsdangerous
    "MethodNotAllowed",  # listed with all subclasses of AppError
    *("process_bind_param", "process_result_value"),  # SQLAlchemy
    "put_if_absent",  # pympp
    "collect",  # prometheus_client
    "validateLink",  # markdown-it
    *("do_GET", "do_POST", "log_message", "log_request"),  # http.server
    *("Allocation", "Entry", "Note", "RequestKey", "OutboxEvent", "Seal", "SealSpan"),  # tables
]
KINDS = ("function", "method", "class", "property")

PLANNED: dict[str, str] = {
    "creditapp/clock.py:StoppedClock": "the clock of tests",
    "creditapp/ledger/wallets.py:unfreeze_wallet": "the admin's page of a user",
}
"""For each unused definition, the feature that will call it."""

_EXPORTS = re.compile(r"^__all__ = \[.*?\]$", re.DOTALL | re.MULTILINE)
_EXPRESSION = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)


def unused() -> set[str]:
    """Return ``file:name`` of every definition that nothing in the application names."""
    vulture = Vulture(ignore_names=NAMES_OF_LIBRARIES, ignore_decorators=CALLED_BY_LIBRARIES)
    for file in (*(ROOT / "creditapp").rglob("*.py"), ROOT / "app.py"):
        vulture.scan(_EXPORTS.sub("", file.read_text(encoding="utf-8")), file)
    for file in (*(ROOT / "templates").rglob("*.*"), *(ROOT / "creditapp").rglob("*.html")):
        for expression in _EXPRESSION.findall(file.read_text(encoding="utf-8")):
            vulture.used_names.update(re.findall(r"[A-Za-z_]\w*", expression))
    return {
        f"{Path(item.filename).relative_to(ROOT)}:{item.name}"
        for item in vulture.get_unused_code()
        if item.typ in KINDS
    }


def main() -> None:
    """Print what is unused without being planned, and what is planned but used; exit 1 if any."""
    found = unused()
    for name in sorted(found - set(PLANNED)):
        print(f"{name} is called by nothing")  # noqa: T201
    for name in sorted(set(PLANNED) - found):
        print(f"{name} is called by now: take it off the list")  # noqa: T201
    sys.exit(found != set(PLANNED))


if __name__ == "__main__":
    main()
