"""HTML in tests: elements by CSS selector, their text, and what a browser would send.

    page = alice.page("/credits")
    assert page.one("#balance").text == "50 credits"
    assert page.one("a.help")["href"] == "/help"
    alice.post("/credits/checkout", page.one("form.pack-list").fields())

``:-soup-contains("Buy")`` selects by text: ``page.one('button:-soup-contains("Buy")')``.
"""

from __future__ import annotations

from bs4 import BeautifulSoup, Tag


class Element:
    """A page, a fragment or an element in it."""

    def __init__(self, tag: Tag) -> None:
        self._tag = tag

    def one(self, selector: str) -> Element:
        """Return the only element that matches; fail when there is none or there are several."""
        found = self.all(selector)
        assert len(found) == 1, f"{len(found)} elements match {selector} in {str(self._tag)[:4000]}"
        return found[0]

    def all(self, selector: str) -> list[Element]:
        """Return every element that matches, in the page's order."""
        return [Element(tag) for tag in self._tag.select(selector)]

    def has(self, selector: str) -> bool:
        """Return whether an element matches."""
        return self._tag.select_one(selector) is not None

    def texts(self, selector: str) -> list[str]:
        """Return the text of every element that matches."""
        return [element.text for element in self.all(selector)]

    @property
    def text(self) -> str:
        """The words, with single spaces between them."""
        return " ".join(self._tag.get_text().split())

    @property
    def raw(self) -> str:
        """The text with its spaces and line breaks, as in a ``pre``."""
        return self._tag.get_text()

    @property
    def html(self) -> str:
        """The element as HTML."""
        return str(self._tag)

    def __getitem__(self, attribute: str) -> str:
        value = self._tag[attribute]
        return value if isinstance(value, str) else " ".join(value)

    def has_attribute(self, attribute: str) -> bool:
        """Return whether the element has an attribute."""
        return attribute in self._tag.attrs

    def __contains__(self, words: object) -> bool:
        raise TypeError("look for words in .text, for an attribute with has_attribute()")

    def value(self, name: str) -> str:
        """Return the value of the first field of a name."""
        return self.fields()[name]

    def fields(self) -> dict[str, str]:
        """Return the fields that a browser would send, of each name the first."""
        sent: dict[str, str] = {}
        for field in self._tag.select("input[name], textarea[name], select[name]"):
            name, kind = str(field["name"]), str(field.get("type", ""))
            if field.name == "textarea":
                value = field.get_text().removeprefix("\n")
            elif field.name == "select":
                chosen = field.select_one("option[selected]") or field.select_one("option")
                value = "" if chosen is None else str(chosen.get("value", chosen.get_text()))
            elif kind in ("checkbox", "radio") and not field.has_attr("checked"):
                continue
            else:
                value = str(field.get("value", "on" if kind == "checkbox" else ""))
            sent.setdefault(name, value)
        return sent


def parse_html(html: str) -> Element:
    """Return a page or a fragment as an element."""
    return Element(BeautifulSoup(html, "html.parser"))
