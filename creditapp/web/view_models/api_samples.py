"""Samples of a call of the API in curl, Python and JavaScript, from the same example data.

Each is a whole program: it reads the address and the key from the environment.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from decimal import Decimal
from pprint import pformat
from typing import Any, Final

WIDTH = 76
SAMPLE_FILE: Final = "photo.png"
FORM: Final = {"model": "gpt-image", "prompt": "The same harbour at dusk"}
"""The fields of a form beside its file."""
IDEMPOTENCY_KEY: Final = "order-1"

_ID_OF_PARAMETERS: Final = {
    "generation_id": "gen_01m8nhvtw4e8kn3bmr1h3paxar",
    "upload_id": "upl_01m8nhvtw4e8kn3bmr1h3paxar",
    "usage_id": "use_01m8nhvtw4e8kn3bmr1h3paxar",
    "key_id": "key_01m8nhvtw4e8kn3bmr1h3paxar",
    "endpoint_id": "whe_01m8nhvtw4e8kn3bmr1h3paxar",
    "delivery_id": "msg_01M8NHVTW4E8KN3BMR1H3PAXAR",
    "hold_id": "hold_12",
    "model_id": "nano-banana",
}


@dataclass(frozen=True)
class Sample:
    """A program that makes one call."""

    language: str
    text: str


@dataclass(frozen=True)
class Call:
    """A call to show: ``by`` says who makes it: key, admin, browser, nobody or none of them."""

    method: str
    path: str
    by: str
    body: Any = None
    takes_file: bool = False
    takes_form: bool = False
    takes_idempotency_key: bool = False

    @property
    def address(self) -> str:
        """The path, with example ids."""
        path = self.path
        for name, value in _ID_OF_PARAMETERS.items():
            path = path.replace(f"{{{name}}}", value)
        return path

    @property
    def key(self) -> str | None:
        """The idempotency key that the headers need."""
        in_body = isinstance(self.body, dict) and "idempotencyKey" in self.body
        return IDEMPOTENCY_KEY if self.takes_idempotency_key and not in_body else None


def samples_of(call: Call) -> list[Sample]:
    """Return the programs that make a call; none for what only another service can send."""
    if call.takes_form:
        return [Sample("curl", _curl(call))]
    match call.by:
        case "key" | "nobody" | "admin":
            python = _python_with_urllib if call.by == "admin" else _python
            return [
                Sample("curl", _curl(call)),
                Sample("python", python(call)),
                Sample("javascript", _javascript(call)),
            ]
        case "browser":
            # A key may not do this: a page of the site itself does, with the member's session.
            return [Sample("curl", _curl(call)), Sample("javascript", _javascript(call))]
    return []


def _curl(call: Call) -> str:
    parts = [f'curl "$CREDITAPP_URL{call.address}"']
    has_body = call.body is not None or call.takes_file or call.takes_form
    if call.method != ("POST" if has_body else "GET"):
        parts[0] = f'curl -X {call.method} "$CREDITAPP_URL{call.address}"'
    match call.by:
        case "key":
            parts.append('-H "Authorization: Bearer $CREDITAPP_API_KEY"')
        case "admin":
            parts.append('-H "x-admin-key: $ADMIN_API_KEY"')
        case "browser":
            parts.append('-b cookies.txt -H "Origin: $CREDITAPP_URL"')
    if call.key is not None:
        parts.append(f'-H "Idempotency-Key: {call.key}"')
    if call.takes_file:
        parts.append(f'-H "Content-Type: image/png" --data-binary @{SAMPLE_FILE}')
    elif call.takes_form:
        parts += [f'-F "{name}={value}"' for name, value in FORM.items()]
        parts.append(f"-F image=@{SAMPLE_FILE}")
    elif call.body is not None:
        text = _json(call.body, indented=True).replace("'", "'\\''")
        parts.append(f"--json '{text}'")
    return " \\\n  ".join(parts)


def _python(call: Call) -> str:
    if call.takes_file:
        done = f'client.upload(open("{SAMPLE_FILE}", "rb").read(), "image/png")'
    else:
        arguments = [f'"{call.method}"', f'"{call.address}"']
        if call.body is not None:
            arguments.append(_python_value(call.body))
        if call.key is not None:
            arguments.append(f'idempotency_key="{call.key}"')
        done = f"client.call({', '.join(arguments)})"
        if "\n" in done or len(done) > WIDTH:
            done = f"client.call(\n    {_indented(', '.join(arguments))}\n)"
    return (
        "import os\n\nfrom creditapp_client import CreditApp\n\n"
        'client = CreditApp(os.environ["CREDITAPP_URL"], os.environ["CREDITAPP_API_KEY"])\n'
        f"print({done})"
    )


def _python_with_urllib(call: Call) -> str:
    """Return a program without the client package, which has no operator's key."""
    headers = ['"x-admin-key": os.environ["ADMIN_API_KEY"]']
    data = ""
    if call.body is not None:
        headers.append('"Content-Type": "application/json"')
        data = f"    data=json.dumps({_indented(_python_value(call.body))}).encode(),\n"
    if call.key is not None:
        headers.append(f'"Idempotency-Key": "{call.key}"')
    return (
        "import json\nimport os\nfrom urllib.request import Request, urlopen\n\n"
        f'request = Request(\n    os.environ["CREDITAPP_URL"] + "{call.address}",\n{data}'
        f'    headers={{{", ".join(headers)}}},\n    method="{call.method}",\n)\n'
        "print(json.load(urlopen(request)))"
    )


def _javascript(call: Call) -> str:
    headers, options, before = [], [], ""
    base = "" if call.by == "browser" else "${process.env.CREDITAPP_URL}"
    match call.by:
        case "key":
            headers.append("Authorization: `Bearer ${process.env.CREDITAPP_API_KEY}`")
        case "admin":
            headers.append('"x-admin-key": process.env.ADMIN_API_KEY')
    if call.key is not None:
        headers.append(f'"Idempotency-Key": "{call.key}"')
    if call.takes_file:
        before = 'import { readFile } from "node:fs/promises";\n\n'
        headers.append('"Content-Type": "image/png"')
        options.append(f'body: await readFile("{SAMPLE_FILE}")')
    elif call.body is not None:
        headers.append('"Content-Type": "application/json"')
        options.append(f"body: JSON.stringify({_indented(_json(call.body, indented=True), 2)})")
    if headers:
        options.insert(0, f"headers: {{ {', '.join(headers)} }}")
    if call.method != "GET":
        options.insert(0, f'method: "{call.method}"')
    lines = "".join(f"  {option},\n" for option in options)
    more = f", {{\n{lines}}}" if options else ""
    return (
        f"{before}const response = await fetch(`{base}{call.address}`{more});\n"
        "console.log(response.status, await response.text());"
    )


def _python_value(value: Any) -> str:
    return pformat(plain(value), width=WIDTH, sort_dicts=False).replace("'", '"')


def _json(value: Any, *, indented: bool = False) -> str:
    text = json.dumps(plain(value), ensure_ascii=False)
    if indented and len(text) > WIDTH:
        return json.dumps(plain(value), ensure_ascii=False, indent=2)
    return text


def _indented(text: str, by: int = 4) -> str:
    return textwrap.indent(text, " " * by).lstrip()


def plain(value: Any) -> Any:
    """Return an example with its amounts as numbers that every language prints alike."""
    if isinstance(value, Decimal):
        return float(value) if value % 1 else int(value)
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value
