"""PDF of a receipt, from the view model of the page."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

from creditapp import units
from creditapp.http.moments import day
from creditapp.http.rendering import words
from creditapp.web.view_models import ReceiptView

_FONTS: Final = (
    (
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
    ),
    ("Vera.ttf", "VeraBd.ttf"),
)
"""Plain and bold: Debian's fonts, which have most alphabets, else those of reportlab."""

_QUIET: Final = HexColor("#4c5952")
_LINE: Final = HexColor("#d5dbd2")
_WIDTH: Final = A4[0] - 50 * mm - 12
"""Width between the margins and the frame's padding of six points on either side."""


def draw(receipt: ReceiptView) -> bytes:
    """Return the receipt as a PDF; the same receipt gives the same bytes."""
    _register_fonts()
    title = f"Receipt {receipt.paid.number}"
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=25 * mm,
        rightMargin=25 * mm,
        topMargin=25 * mm,
        bottomMargin=20 * mm,
        title=title,
        author=receipt.seller[0],
        invariant=1,
    )
    document.build(_story(receipt))
    return buffer.getvalue()


def _story(receipt: ReceiptView) -> list[Any]:
    item = f"{receipt.paid.item}, {words(receipt.paid.credits_micro)}"
    parties = [
        [_words("From", color=_QUIET), _words("To", color=_QUIET)],
        [_lines(receipt.seller), _lines(receipt.buyer)],
    ]
    facts = [
        [_words("Number", color=_QUIET), _words(receipt.paid.number)],
        [_words("Date", color=_QUIET), _words(day(receipt.paid.paid_at))],
        [_words("Item", color=_QUIET), _words(item)],
    ]
    story = [_words("Receipt", size=22, bold=True), Spacer(1, 8 * mm)]
    if receipt.paid.sandbox:
        story += [_words("Paid in the sandbox: no real money.", bold=True), Spacer(1, 6 * mm)]
    return [
        *story,
        Table(facts, colWidths=[30 * mm, _WIDTH - 30 * mm], style=_PLAIN),
        Spacer(1, 8 * mm),
        Table(parties, colWidths=[_WIDTH / 2] * 2, style=_PLAIN),
        Spacer(1, 8 * mm),
        Table(_sum(receipt), colWidths=[_WIDTH - 50 * mm, 50 * mm], style=_RULED),
        Spacer(1, 4 * mm),
        _words(f"All amounts in {receipt.paid.currency}.", color=_QUIET),
    ]


def _sum(receipt: ReceiptView) -> list[list[Any]]:
    return [
        [
            _words(row.label, bold=row.strong),
            _words(units.money_text(row.minor, receipt.paid.currency), bold=row.strong, right=True),
        ]
        for row in receipt.rows
    ]


_PLAIN: Final = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (0, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 1),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
]
_RULED: Final = [
    ("LINEABOVE", (0, 0), (-1, -1), 0.5, _LINE),
    ("LEFTPADDING", (0, 0), (0, -1), 0),
    ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
]


def _words(
    text: str, *, size: int = 10, bold: bool = False, right: bool = False, color: Any = None
) -> Paragraph:
    style = ParagraphStyle(
        "words",
        fontName="bold" if bold else "plain",
        fontSize=size,
        leading=size * 1.45,
        alignment=2 if right else 0,
        splitLongWords=1,
        **({"textColor": color} if color else {}),
    )
    # A paragraph parses markup, and a name may look like markup.
    return Paragraph(escape(_drawable(text)), style)


def _lines(texts: Sequence[str]) -> list[Paragraph]:
    return [_words(text) for text in texts]


def _drawable(text: str) -> str:
    """Replace characters that the font lacks by their base letter, else by "?"."""
    glyphs = pdfmetrics.getFont("plain").face.charToGlyph
    return "".join(_nearest(character, glyphs) for character in text)


def _nearest(character: str, glyphs: Mapping[int, int]) -> str:
    if ord(character) in glyphs:
        return character
    parts = unicodedata.normalize("NFKD", character)
    return "".join(part for part in parts if ord(part) in glyphs) or "?"


@cache
def _register_fonts() -> None:
    for plain, bold in _FONTS:
        try:
            fonts = [TTFont("plain", plain), TTFont("bold", bold)]
        except TTFError:
            continue
        for font in fonts:
            pdfmetrics.registerFont(font)
        return
