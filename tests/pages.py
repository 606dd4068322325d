"""HTML in tests: elements by CSS selector, their text, and what a browser would send.

page = alice.page("/credits")
assert page.one("#balance").text == "50 credits"
assert page.one("a.help")["href"] == "/help"
alice.post("/credits/checkout", page.one("form.pack-list").fields())
"""

from __future__ import annotations

from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

_WITHOUT_WORDS = ("script", "style", "template")


class Element:
    """A page, a fragment or an element in it."""

    def __init__(self, node: LexborHTMLParser | LexborNode) -> None:
        self._node = node

    def one(self, selector: str) -> Element:
        """Return the only element that matches; fail when there is none or there are several."""
        found = self.all(selector)
        assert len(found) == 1, f"{len(found)} elements match {selector} in {self.html[:4000]}"
        return found[0]

    def all(self, selector: str) -> list[Element]:
        """Return every element that matches, in the page's order."""
        return [Element(node) for node in self._select(selector)]

    def has(self, selector: str) -> bool:
        """Return whether an element matches."""
        return bool(self._select(selector))

    def texts(self, selector: str) -> list[str]:
        """Return the text of every element that matches."""
        return [element.text for element in self.all(selector)]

    @property
    def text(self) -> str:
        """The words, with single spaces between them."""
        return " ".join(self.raw.split())

    @property
    def raw(self) -> str:
        """The text with its spaces and line breaks, as in a ``pre``."""
        if isinstance(self._node, LexborNode):
            return "".join(_texts(self._node))
        node, texts = self._node.root, list[str]()
        while node is not None:
            texts += _texts(node)
            node = node.next
        return "".join(texts)

    @property
    def html(self) -> str:
        """The element as HTML."""
        return self._node.html or ""

    def __getitem__(self, attribute: str) -> str:
        return self._attributes[attribute] or ""

    def has_attribute(self, attribute: str) -> bool:
        """Return whether the element has an attribute."""
        return attribute in self._attributes

    def __contains__(self, words: object) -> bool:
        raise TypeError("look for words in .text, for an attribute with has_attribute()")

    def value(self, name: str) -> str:
        """Return the value of the first field of a name."""
        return self.fields()[name]

    def fields(self) -> dict[str, str]:
        """Return the fields that a browser would send, of each name the first."""
        sent: dict[str, str] = {}
        for field in self.all("input[name], textarea[name], select[name]"):
            kind = field["type"] if field.has_attribute("type") else ""
            if field._node.tag == "textarea":
                value = field.raw
            elif field._node.tag == "select":
                chosen = (field.all("option[selected]") or field.all("option"))[:1]
                value = "".join(
                    each["value"] if each.has_attribute("value") else each.raw for each in chosen
                )
            elif kind in ("checkbox", "radio") and not field.has_attribute("checked"):
                continue
            elif field.has_attribute("value"):
                value = field["value"]
            else:
                value = "on" if kind == "checkbox" else ""
            sent.setdefault(field["name"], value)
        return sent

    @property
    def _attributes(self) -> dict[str, str | None]:
        assert isinstance(self._node, LexborNode), "a page has no attributes"
        return self._node.attributes

    def _select(self, selector: str) -> list[LexborNode]:
        # The parser also returns the element itself, and twice what matches two selectors.
        nodes = {node.mem_id: node for node in self._node.css(selector) if node != self._node}
        return list(nodes.values())


def _texts(node: LexborNode) -> Iterator[str]:
    if node.is_text_node:
        yield node.text_content or ""
        return
    for child in node.iter(include_text=True):
        if child.tag not in _WITHOUT_WORDS:
            yield from _texts(child)


def parse_html(html: str) -> Element:
    """Return a page or a fragment as an element, parsed as a browser parses it."""
    is_page = html.lstrip()[:9].lower() == "<!doctype"
    return Element(LexborHTMLParser(html, is_fragment=not is_page, fragment_tag="template"))
