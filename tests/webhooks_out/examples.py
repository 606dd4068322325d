"""The payloads that docs/webhooks.md shows, by event."""

from __future__ import annotations

import json
import re

from tests.conventions.files import ROOT
from tests.webhooks_out.receiver import Json

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
_BLOCK = re.compile(r"```json\n(.*?)```", re.DOTALL)


def documented() -> dict[str, Json]:
    """Return the example of each event: the JSON that follows the paragraph that begins with it."""
    section = PAGE.partition("## Events\n")[2].partition("\n## ")[0]
    examples, before = {}, ""
    for part in re.split(r"(```json\n.*?```)", section, flags=re.DOTALL):
        if match := _BLOCK.match(part):
            for event in re.findall(r"`([a-z]+\.[a-z]+)`", before):
                examples[event] = json.loads(match[1])
        else:
            before = part
    return examples


def check_shape(event: Json) -> None:
    """Assert that an event has the members that its example has, of the same kinds."""
    assert event.keys() == {"type", "timestamp", "data"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])
    _same(event["data"], documented()[event["type"]], event["type"])


def _same(value: object, example: object, where: str) -> None:
    if isinstance(example, dict):
        assert isinstance(value, dict), where
        assert list(value) == list(example), where
        for name, member in example.items():
            _same(value[name], member, f"{where}.{name}")
    elif isinstance(example, list):
        assert isinstance(value, list), where
        assert value, where
        for item in value:
            _same(item, example[0], where)
    elif value is not None and example is not None:
        numbers = (int, float)
        assert isinstance(value, numbers if type(example) in numbers else type(example)), where
