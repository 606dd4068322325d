"""A client of ``/mcp``, as an assistant has one."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from tests.api.contract import Document
from tests.api.test_keys import create
from tests.app_factory import Person

ORDER = {"prompt": "a quay", "model": "nano-banana", "waitSeconds": 0}
"""Costs half a credit."""


class Assistant:
    """A client of /mcp with an API key; each answer is checked against the OpenAPI document."""

    def __init__(self, person: Person, **settings: object) -> None:
        self.app = person.app
        self.key = create(person, **settings)["key"]
        self.document = Document(self.app)

    def post(self, body: object, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Authorization": f"Bearer {self.key}", **named}
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self.app.test_client().post(
            "/mcp", data=data, content_type="application/json", headers=named
        )

    def ask(self, method: str, params: object = None, **headers: str) -> Any:
        """Return the answer to a request, of the newest version with a handshake by default."""
        headers = {"MCP_Protocol_Version": "2025-11-25", **headers}
        body = {"jsonrpc": "2.0", "id": 7, "method": method}
        answer = self.post(body if params is None else {**body, "params": params}, **headers)
        assert answer.status_code == 200, answer.text
        if "result" in answer.json:
            self.document.check("POST", "/mcp", answer)
        assert answer.json["id"] == 7
        return answer.json

    def error(self, method: str, params: object = None, **headers: str) -> int:
        """Return the code of a protocol error."""
        code: int = self.ask(method, params, **headers)["error"]["code"]
        return code

    def use(self, tool: str, arguments: object = None, **headers: str) -> Any:
        """Return the result of a tool."""
        params = {"name": tool} if arguments is None else {"name": tool, "arguments": arguments}
        return self.ask("tools/call", params, **headers)["result"]

    def done(self, tool: str, arguments: object = None, **headers: str) -> Any:
        """Return what a tool answered, which must fit the schema that it declares."""
        result = self.use(tool, arguments, **headers)
        assert not result["isError"], result["content"]
        tools = {each["name"]: each for each in self.ask("tools/list")["result"]["tools"]}
        Draft202012Validator(tools[tool]["outputSchema"]).validate(result["structuredContent"])
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        return result

    def refused(self, tool: str, arguments: object = None, **headers: str) -> Any:
        """Return the problem that a tool answered with, which cost nothing."""
        result = self.use(tool, arguments, **headers)
        assert result["isError"], result
        assert "structuredContent" not in result, "it would not fit the tool's schema"
        problem = json.loads(result["content"][0]["text"])
        assert result["_meta"]["code"] == problem["code"]
        assert result["_meta"]["credits"]["used"] == 0
        return problem
