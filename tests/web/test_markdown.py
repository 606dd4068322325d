"""Markdown of a model's answer: what it becomes, and that no HTML in it reaches the page."""

from __future__ import annotations

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from creditapp.http.markdown import CHARACTERS_MAX, MARKS_MAX, render_markdown

TAGS = set("p strong em a ul ol li h3 h4 h5 h6 pre code blockquote hr br s".split())
TAGS |= set("table thead tbody tr th td".split())


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**a** and `b`", "<p><strong>a</strong> and <code>b</code></p>"),
        ("# A title", "<h3>A title</h3>"),
        ("one\ntwo", "<p>one<br />\ntwo</p>"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("[x](data:text/html,y)", "<p>[x](data:text/html,y)</p>"),
        ("[x](data:image/png;base64,AA)", "<p>[x](data:image/png;base64,AA)</p>"),
        ("[x](intent://y)", "<p>[x](intent://y)</p>"),
        ("[x](//example.com)", "<p>[x](//example.com)</p>"),
        ("[x](/settings)", "<p>[x](/settings)</p>"),
        (
            "[x](https://example.com)",
            '<p><a href="https://example.com" rel="nofollow noopener noreferrer">x</a></p>',
        ),
    ],
)
def test_a_text_becomes(text: str, html: str) -> None:
    assert render_markdown(text).strip() == html


def test_a_table_carries_no_style_of_its_own() -> None:
    html = render_markdown("| a | b |\n|:-:|--:|\n| 1 | 2 |")
    assert "<td>1</td>" in html


def test_an_image_of_another_server_is_not_fetched() -> None:
    assert "<img" not in render_markdown("![x](https://example.com/x.png)")


def test_a_very_long_text_is_shown_as_it_is() -> None:
    html = render_markdown("<b>" * CHARACTERS_MAX)
    assert html.startswith("<pre>&lt;b&gt;")


def test_a_page_parses_no_more_marks_than_its_share(app: Flask) -> None:
    texts = ["[" * MARKS_MAX, "one *word*", "[" * (MARKS_MAX - 2), "**", "*a*"]
    with app.test_request_context():
        page = app.jinja_env.from_string("{% for each in texts %}{{ each|markdown }}{% endfor %}")
        html = page.render(texts=["[" + texts[0], *texts[1:]])
    assert html.startswith("<pre>[["), "too many by itself, and it takes nothing from the next"
    assert "<p>one <em>word</em></p>" in html
    assert html.endswith("</p>\n<pre>**</pre><pre>*a*</pre>")


@given(st.text("<>[]()!*_`#|\\\n\"'&:-a ", max_size=200) | st.text(max_size=80))
def test_any_text_becomes_known_tags_with_harmless_attributes(text: str) -> None:
    for tag in LexborHTMLParser(render_markdown(text), is_fragment=True).css("*"):
        assert tag.tag in TAGS
        assert set(tag.attributes) <= {"href", "title", "rel", "class", "start"}
