"""A refused form gives back the fields of our own forms, so each of them is known."""

from __future__ import annotations

import re

from creditapp.generation.operations import OPERATIONS
from creditapp.http.problem_view import KEPT, NEVER_KEPT
from creditapp.web.studio_form import kinds_of
from tests.conventions.files import texts

_READ = re.compile(r"""(?:\b(?:text|ticked|whole)|form\.get|form\.getlist)\(\s*"(\w+)\"""")


def test_every_field_that_a_page_reads_is_kept_or_never_kept() -> None:
    folders = ("creditapp/web/", "creditapp/http/forms.py")
    read = {
        name
        for path, text in texts(".py").items()
        if path.startswith(folders)
        for name in _READ.findall(text)
    }
    assert len(read) > 20
    studio = {name for operation in OPERATIONS for name in kinds_of(operation)}
    assert (read | studio) - KEPT - NEVER_KEPT == set()
