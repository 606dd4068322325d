"""Stripe's contract, read from the SDK's types: fields of responses and parameters of requests.

The SDK is generated from Stripe's specification, so its annotations are the newest statement of
the shapes that is on this machine. Two questions are answered here:

* ``faults_of_answer(json)``: fields that Stripe does not have, fields that are missing, values of
  another type or outside an enumeration, in an object or an event and everything inside it;
* ``faults_of_table(table, typed_dict)``: where a table of the sandbox allows what Stripe does not.

What it cannot see are rules between fields and between objects; only Stripe itself settles those.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
import types
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import stripe
from stripe._object_classes import OBJECT_CLASSES
from stripe._stripe_object import StripeObject, UntypedStripeObject
from typing_extensions import is_typeddict

from creditapp.stripe_sandbox import parameters as p

ONLY_ON_REQUEST = {
    "charge": {"level3", "refunds", "transfer"},
    "checkout.session": {"line_items"},
    "coupon": {"applies_to", "currency_options", "deleted"},
    "customer": {
        "cash_balance",
        "deleted",
        "invoice_credit_balance",
        "sources",
        "subscriptions",
        "tax",
        "tax_ids",
    },
    "discount": {"deleted"},
    "event": {"account", "context"},
    "invoice": {"confirmation_secret", "deleted", "payments"},
    "plan": {"deleted", "tiers"},
    "setup_intent": {"attach_to_self"},
    "subscription_item": {"deleted"},
    "payment_intent": {"hooks", "payment_details"},
    "price": {"currency_options", "deleted", "tiers"},
    "product": {"deleted"},
    "refund": {
        "description",
        "failure_balance_transaction",
        "failure_reason",
        "instructions_email",
        "next_action",
    },
}
"""Fields that Stripe omits unless they are expanded or have a value."""

ONLY_ON_REQUEST["payment_method"] = set(stripe.PaymentMethod.__annotations__) - {
    "allow_redisplay",
    "customer",
    "customer_account",
    "metadata",
    "radar_options",
}
"""An object has only the field of its own payment method type."""

_ERROR = set(stripe.ErrorObject.__annotations__)
_ROOT = Path(stripe.__file__).parent


# --- answers ---------------------------------------------------------------------------------


def faults_of_answer(answer: Mapping[str, Any]) -> list[str]:
    """Return the faults of an object, a list of objects or an event; an empty list is valid."""
    return list(_object_faults(answer, str(answer.get("object"))))


def faults_of_error(answer: Mapping[str, Any]) -> list[str]:
    """Return the faults of an error: ``{"error": {...}}`` with Stripe's fields and codes."""
    error = answer.get("error")
    if set(answer) != {"error"} or not isinstance(error, Mapping):
        return [f"an error is {{'error': ...}}, not {sorted(answer)}"]
    faults = list(_field_faults(error, stripe.ErrorObject, "error", absent=set(error) ^ _ERROR))
    # The only list of codes in the SDK's types is the one of a payment's last error.
    last = stripe.PaymentIntent.LastPaymentError
    for name in ("code", "type"):
        hint = _hints_of_class(last)[name]
        if name in error and all(_all_faults(error[name], hint, f"error.{name}")):
            faults.append(f"error.{name}: {error[name]!r} is not Stripe's")
    return faults


def _object_faults(thing: Any, where: str, expected: type | None = None) -> Iterator[str]:
    if not isinstance(thing, Mapping):
        yield f"{where}: not an object"
        return
    name = thing.get("object")
    if name == "list":
        yield from _list_faults(thing, where)
        return
    if name not in OBJECT_CLASSES:
        yield f"{where}: no object {name!r} in Stripe's API"
        return
    module, class_name = OBJECT_CLASSES[str(name)]
    cls = getattr(importlib.import_module(module), class_name)
    if expected is not None and cls is not expected:
        yield f"{where}: {cls.__name__} instead of {expected.__name__}"
        return
    if thing.get("deleted") is True:
        # Of a deleted object, https://docs.stripe.com/api/customers/delete shows these fields.
        if set(thing) != {"id", "object", "deleted"}:
            yield f"{where}: a deleted object has id, object and deleted, not {sorted(thing)}"
        return
    yield from _field_faults(thing, cls, where, absent=ONLY_ON_REQUEST.get(str(name), set()))
    if name == "event":
        yield from _event_faults(thing, where)


def _list_faults(thing: Mapping[str, Any], where: str) -> Iterator[str]:
    if set(thing) != {"object", "data", "has_more", "url"}:
        yield f"{where}: a list has object, data, has_more and url, not {sorted(thing)}"
    for number, each in enumerate(thing.get("data", [])):
        yield from _object_faults(each, f"{where}[{number}]")


def _event_faults(event: Mapping[str, Any], where: str) -> Iterator[str]:
    yield from _object_faults(event["data"]["object"], f"{where}({event['type']}).data.object")
    unknown = set(event["data"]) - {"object", "previous_attributes"}
    for name in unknown:
        yield f"{where}.data.{name}: unknown field"
    for name in event["data"].get("previous_attributes", {}):
        if name not in event["data"]["object"]:
            yield f"{where}.data.previous_attributes.{name}: not a field of the object"


def _field_faults(
    thing: Mapping[str, Any], cls: type, where: str, *, absent: set[str] | None = None
) -> Iterator[str]:
    """Compare with a class: every field known; top-level ones all there, inner required ones."""
    hints = _hints_of_class(cls)
    for name in thing.keys() - hints.keys():
        yield f"{where}.{name}: unknown field"
    for name, hint in hints.items():
        optional = type(None) in get_args(hint)
        if name not in thing:
            if not optional or (absent is not None and name not in absent):
                yield f"{where}.{name}: missing"
            continue
        if not any(not faults for faults in _all_faults(thing[name], hint, f"{where}.{name}")):
            yield from min(_all_faults(thing[name], hint, f"{where}.{name}"), key=len)


def _all_faults(value: Any, hint: Any, where: str) -> list[list[str]]:
    """Return the faults against each way a hint may be met; one empty list is enough."""
    members = list(_members(hint))
    if isinstance(value, Mapping):  # an expanded reference: its faults say more than "no text"
        members = [each for each in members if each is not str] or members
    words = [word for each in members if get_origin(each) is Literal for word in get_args(each)]
    if words:
        # ``Literal[...] | str`` is how the SDK writes an enumeration that may grow. Today's words
        # are the contract.
        members = [each for each in members if each is not str and get_origin(each) is not Literal]
        wrong = [] if value in words else [f"{where}: {value!r} is none of {words[:8]}"]
        return [wrong, *(list(_faults(value, each, where)) for each in members)]
    return [list(_faults(value, each, where)) for each in members]


def _faults(value: Any, hint: Any, where: str) -> Iterator[str]:
    origin = get_origin(hint)
    if hint is Any or hint is type(None):
        if hint is type(None) and value is not None:
            yield f"{where}: {value!r} instead of null"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{where}: not a list"
            return
        for number, each in enumerate(value):
            yield from min(_all_faults(each, get_args(hint)[0], f"{where}[{number}]"), key=len)
    elif origin is stripe.ListObject:
        yield from _object_faults(value, where)
    elif origin is UntypedStripeObject or hint is UntypedStripeObject or origin is dict:
        if not isinstance(value, Mapping):
            yield f"{where}: not an object"
    elif isinstance(hint, type) and issubclass(hint, StripeObject):
        if hasattr(hint, "OBJECT_NAME"):
            yield from _object_faults(value, where, hint)
        elif not isinstance(value, Mapping):
            yield f"{where}: {value!r} is not an object"
        else:
            yield from _field_faults(value, hint, where)
    elif not _is_plain(value, hint):
        yield f"{where}: {value!r} is not {getattr(hint, '__name__', hint)}"


def _is_plain(value: Any, hint: Any) -> bool:
    if hint is Decimal:
        try:
            return isinstance(value, str) and Decimal(value).is_finite()
        except InvalidOperation:
            return False
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


# --- requests --------------------------------------------------------------------------------


def typed_dict_of(method: str, path: str) -> Any:
    """Return the TypedDict of the parameters that the SDK's service sends to a route."""
    found = _services().get((method.lower(), re.sub(r"<[^>]+>|\{[^}]+\}", "{}", path)))
    if found is None:
        raise LookupError(f"the SDK has no service for {method} {path}")
    module, name = found
    return getattr(importlib.import_module(module), name)


def faults_of_schema(
    schema: Mapping[str, p.Parameter], typed_dict: Any, where: str = ""
) -> list[str]:
    """Return where the sandbox's schema allows what the SDK's parameters do not."""
    hints = _hints_of_params(typed_dict)
    faults = [f"{where}{name}: unknown to Stripe" for name in schema if name not in hints]
    for name, hint in hints.items():
        inner, required = _unwrapped(hint, typed_dict, name)
        if name in schema:
            faults += _parameter_faults(schema[name], list(_members(inner)), f"{where}{name}")
            if required and not schema[name].required:
                faults.append(f"{where}{name}: Stripe requires it")
        elif required:
            faults.append(f"{where}{name}: Stripe requires it, the table has it not")
    return faults


def _parameter_faults(kind: p.Parameter, members: list[Any], where: str) -> list[str]:
    words = {word for each in members if get_origin(each) is Literal for word in get_args(each)}
    dicts = [each for each in members if is_typeddict(each)]
    lists = [each for each in members if get_origin(each) is list]
    if kind.unsettable and "" not in words and str not in members:
        return [f"{where}: Stripe does not let it be unset"]
    if isinstance(kind, p.Choice):
        foreign = set(kind.of) - words
        return [f"{where}: {sorted(foreign)} are no words of Stripe's"] if foreign else []
    if isinstance(kind, p.Object) and dicts:
        return faults_of_schema(kind.of, dicts[0], f"{where}.")
    if isinstance(kind, p.Array) and lists:
        return _parameter_faults(kind.of, list(_members(get_args(lists[0])[0])), f"{where}[]")
    fits = {
        p.Boolean: bool in members,
        p.Integer: int in members,
        p.Percent: float in members,
        p.Text: str in members and not words - {""},
        p.Url: str in members and not words - {""},
        p.TimestampRange: int in members and bool(dicts),
        p.Metadata: any(get_origin(each) is dict for each in members),
    }
    return [] if fits.get(type(kind)) else [f"{where}: {type(kind).__name__} against {members}"]


def _unwrapped(hint: Any, typed_dict: Any, name: str) -> tuple[Any, bool]:
    required = name in typed_dict.__required_keys__
    while get_origin(hint) in (NotRequired, Required):
        required = get_origin(hint) is Required
        hint = get_args(hint)[0]
    return hint, required


@functools.cache
def _services() -> dict[tuple[str, str], tuple[str, str]]:
    """Return for each (method, path) where the SDK keeps the type of its parameters."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for file in _ROOT.rglob("_*_service.py"):
        text = file.read_text()
        if '"/v1/' not in text:
            continue
        imports = dict(_type_checking_imports(text))
        for function in re.finditer(
            r"\n    def (\w+)\(.*?(?=\n    (?:async )?def |\Z)", text, re.S
        ):
            params = re.search(r'params: (?:Optional\[)?"(\w+)"', function[0])
            call = re.search(r'_request\(\s*"(\w+)",\s*"(/v1/[^"]+)"', function[0])
            if params and call and params[1] in imports:
                path = re.sub(r"\{[^}]+\}", "{}", call[2])
                found[call[1], path] = (imports[params[1]], params[1])
    return found


# --- the SDK's annotations -------------------------------------------------------------------


def _members(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        for each in get_args(hint):
            yield from _members(each)
    else:
        yield hint


@functools.cache
def _hints_of_class(cls: type) -> dict[str, Any]:
    names = _names_for(cls.__module__)
    own = types.SimpleNamespace(
        __annotations__={
            name: hint
            for name, hint in cls.__annotations__.items()
            if "ClassVar" not in str(hint) and not name.startswith("_")
        }
    )
    return get_type_hints(own, globalns=names)


@functools.cache
def _hints_of_params(typed_dict: Any) -> dict[str, Any]:
    """Return a TypedDict's own parameters, without the options that every request has."""
    options = stripe.RequestOptions.__annotations__
    own = types.SimpleNamespace(
        __annotations__={
            name: hint for name, hint in typed_dict.__annotations__.items() if name not in options
        }
    )
    return get_type_hints(own, globalns=_names_for(typed_dict.__module__), include_extras=True)


@functools.cache
def _names_for(module: str) -> dict[str, Any]:
    """Return a module's names with the ones that it imports for type checkers only."""
    loaded = sys.modules.get(module) or importlib.import_module(module)
    names = dict(vars(loaded))
    for name, home in _type_checking_imports(Path(str(loaded.__file__)).read_text()):
        names.setdefault(name, getattr(importlib.import_module(home), name, None))
    for alias, home, name in _aliases(Path(str(loaded.__file__)).read_text()):
        names.setdefault(alias, getattr(importlib.import_module(home), name, None))
    return names


def _type_checking_imports(text: str) -> Iterator[tuple[str, str]]:
    for alias, home, name in _aliases(text):
        if alias == name:
            yield name, home


def _aliases(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (alias, module, name) of what a module imports for type checkers only."""
    for block in re.findall(r"^if TYPE_CHECKING:\n((?:[ \t]+.*\n|\n)+)", text, re.M):
        for module, several, one in re.findall(r"from (\S+) import (?:\(([^)]*)\)|(.+))", block):
            for imported in (several or one).split(","):
                name, _, alias = imported.strip().partition(" as ")
                if name:
                    yield alias.strip() or name, module, name
