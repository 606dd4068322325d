"""``docs/openai.md``: its lines run as they stand, and it names every parameter that is taken."""

from __future__ import annotations

import contextlib
import io
import re

from creditapp.api.v1.chat_schemas import CompletionBody
from creditapp.api.v1.embeddings import V1EmbeddingsBody
from creditapp.api.v1.image_schemas import V1EditBody, V1ImageBody
from creditapp.api.v1.speech import SpeechBody
from tests.conventions.files import ROOT
from tests.openai_shape.conftest import Demo

PAGE = (ROOT / "docs" / "openai.md").read_text()


def test_the_ten_lines_make_an_image_stream_a_chat_and_print_what_they_cost(demo: Demo) -> None:
    (sample, retried) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in sample.splitlines() if line.strip()]) <= 10
    program = sample.replace("http://127.0.0.1:8000", demo.address).replace("cak_...", demo.key())
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program + retried, "docs/openai.md", "exec"), {})
    first, *_, last = printed.getvalue().strip().splitlines()
    assert first.startswith("{'used': 0.5, 'remaining': ")
    assert "Say hello to the harbour" in printed.getvalue()
    assert re.search(r"\{'used': 0\.\d+, 'remaining': ", last)


def test_every_parameter_is_in_the_table() -> None:
    for schema in (V1ImageBody, V1EditBody, CompletionBody, SpeechBody, V1EmbeddingsBody):
        for name, field in schema.model_fields.items():
            assert f"`{field.alias or name}`" in PAGE, name
