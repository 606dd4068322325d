"""The arguments of the tools: those of the orders, and the few that only a tool has."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from creditapp.generation.operations import OPERATIONS
from creditapp.http.json_provider import parse_members
from creditapp.http.schemas import CreditsInput
from creditapp.rate_limits import GENERATION_WAIT_SECONDS, MCP_MAX_MICRO
from creditapp.units import credits_text


class NoArguments(BaseModel):
    """A tool without arguments."""

    model_config = ConfigDict(extra="forbid")


class WaitArguments(BaseModel):
    """The longest time that a tool may wait."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    wait_seconds: Annotated[StrictInt, Field(ge=0, le=GENERATION_WAIT_SECONDS)] | None = Field(
        default=None,
        alias="waitSeconds",
        description="How long to wait for the result before its id is returned.",
    )


class GenerationArguments(WaitArguments):
    """The generation to read."""

    id: str = Field(max_length=100, description="The id that generate returned.")


class GenerateArguments(WaitArguments):
    """The arguments of generate that its orders do not have."""

    operation: str = Field(
        description="Without it text-to-image, or with images image-to-image.",
        json_schema_extra={"enum": list(OPERATIONS)},
    )
    max_micro: CreditsInput = Field(
        alias="maxCredits",
        description="The most that this may cost, in credits; "
        f"{credits_text(MCP_MAX_MICRO)} without it. Above it the call is refused before it runs.",
    )


def take_wait_seconds(body: dict[str, Any], default: int) -> int:
    """Remove ``waitSeconds`` from arguments; return it, at most as long as an exchange waits."""
    sent = {"waitSeconds": body.pop("waitSeconds")} if "waitSeconds" in body else {}
    seconds = parse_members(WaitArguments, sent).wait_seconds
    return default if seconds is None else seconds


@cache
def generate_schema() -> dict[str, Any]:
    """Return the schema of generate: the members of every order, each with its operations."""
    own = GenerateArguments.model_json_schema(by_alias=True)["properties"]
    orders = {
        name: operation.order.model_json_schema(by_alias=True)
        for name, operation in OPERATIONS.items()
    }
    members: dict[str, Any] = {}
    for schema in orders.values():
        for name, member in schema["properties"].items():
            members.setdefault(name, dict(member))
    for name, member in members.items():
        takers = [key for key, schema in orders.items() if name in schema["properties"]]
        needed = [key for key, schema in orders.items() if name in schema.get("required", ())]
        notes = [member.get("description", "")]
        if len(takers) < len(orders):
            notes.append(f"Of {', '.join(takers)}.")
        if needed:
            notes.append(f"Required for {', '.join(needed)}.")
        member["description"] = " ".join(note for note in notes if note)
    return {"type": "object", "properties": {**own, **members}, "additionalProperties": False}
