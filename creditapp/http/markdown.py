"""Markdown of other people's texts, such as a model's answer, as safe HTML.

HTML in the text is shown as text, images are left out (they would tell another server who reads),
and a link leads only to the web or to an email, and says nothing of this site.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

CHARACTERS_MAX = 50_000
"""A longer text is shown as it is."""
MARKS_MAX = 20_000
"""Of all texts of a page. Each may take 30 microseconds to parse, so that a page takes a second."""

_MARK = re.compile(r"[\[\]!*_~`|<>&\\#+\n-]")
_LINK = re.compile(r"(https?://|mailto:)\S", re.IGNORECASE)

_HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}
"""The page has the levels above."""


def count_marks(text: str) -> int:
    """Return how many characters of a text may mean something in Markdown."""
    return len(_MARK.findall(text))


def render_markdown(text: str, marks_max: int = MARKS_MAX) -> Markup:
    """Return ``text`` as HTML; safe for any text, as it is parsed with HTML turned off.

    One with more than ``marks_max`` marks is shown as it is.
    """
    if len(text) > CHARACTERS_MAX or count_marks(text) > marks_max:
        return Markup("<pre>{}</pre>").format(text)
    tokens = _PARSER.parse(text)
    for token in tokens:
        token.tag = _HEADINGS.get(token.tag, token.tag)
        # Of a column's alignment, which our CSP forbids; figures are aligned to the right.
        if token.attrs.pop("style", None) == "text-align:right":
            token.attrSet("class", "num")
    html = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return Markup(html)  # noqa: S704  # the parser escapes what is no Markdown


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802  # the name in the library
        """Whether a link leads to the web or to an email; any other is shown as text."""
        return _LINK.match(url) is not None


def _open_link(
    renderer: RendererHTML, tokens: Sequence[Token], number: int, options: OptionsDict, env: EnvType
) -> str:
    tokens[number].attrSet("rel", "nofollow noopener noreferrer")
    return renderer.renderToken(tokens, number, options, env)


def _parser() -> MarkdownIt:
    parser = _Parser("commonmark", {"html": False, "breaks": True, "maxNesting": 20})
    parser.enable(["table", "strikethrough"]).disable(["image", "html_block", "html_inline"])
    parser.add_render_rule("link_open", _open_link)
    return parser


_PARSER = _parser()
