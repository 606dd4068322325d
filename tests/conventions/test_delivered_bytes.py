"""Delivered bytes: one path stores them, and no other module could write them anew.

A vendor's signature covers its bytes. So only ``provenance`` adds to a delivered file, and what
encodes media is listed here with what it writes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.conventions.files import texts

ENCODERS = {
    "creditapp/chat/images.py": "a copy for the model, which is not stored",
    "creditapp/generation/thumbnails.py": "a small copy of a delivered file",
    "creditapp/generation/uploads/": "what users bring, without its metadata",
    "creditapp/generation/providers/offline/": "what the offline provider itself delivers",
}
"""The modules that may encode images, audio or video, with what they write."""

STORERS = {
    "creditapp/generation/delivery.py": "delivered files",
    "creditapp/generation/thumbnails.py": "thumbnails",
    "creditapp/generation/uploads/": "uploads",
    "creditapp/runtime/restore.py": "files of a backup",
    "creditapp/media/": "files of another store",
}
"""The modules that may put files into the media store."""

ASSIGNED = {
    "data": ["_marked(file, generation)"],
    "marked": ["provenance.with_mark(file.data, file.mime_type)"],
}
"""The values of ``data``, all that may be stored of a delivered file, and of its source."""
RETURNED = {"marked", "get(Signer).sign(marked, file.mime_type, model_name)"}
"""The results of ``_marked``: the vendor's own bytes, them with a mark, and these signed."""


def encodes(tree: ast.Module) -> Iterator[str]:
    """Yield each call of Pillow or PyAV that writes a file."""
    if not _libraries(tree) & {"PIL", "av"}:
        return
    for call in _calls(tree):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name in ("save", "mux", "mux_one", "add_stream", "add_stream_from_template"):
            yield ast.unparse(call)


def stores(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield each call that puts a file into the media store."""
    for call in _calls(tree):
        place, _, verb = ast.unparse(call.func).rpartition(".")
        if verb in ("store", "put") and place in ("get(Media)", "media", "self.media", "target"):
            yield call


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def assigned(tree: ast.Module, name: str) -> list[str]:
    """Return all that is assigned to variables of a name."""
    return [
        ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]


def returned(tree: ast.Module, function: str) -> set[str]:
    """Return all that a function returns."""
    (found,) = (
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function
    )
    returns = (node.value for node in ast.walk(found) if isinstance(node, ast.Return))
    return {ast.unparse(value) for value in returns if value}


def _libraries(tree: ast.Module) -> set[str]:
    """Return the first names of what a module imports, in functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield path and tree of each module of the app."""
    for path, text in texts(".py").items():
        if path.startswith("creditapp/"):
            yield path, ast.parse(text)


def test_only_what_is_listed_encodes_media() -> None:
    found = [
        f"{path}: {call}"
        for path, tree in modules()
        if not path.startswith(tuple(ENCODERS))
        for call in encodes(tree)
    ]
    assert found == [], "delivered bytes would be written anew"


def test_only_what_is_listed_stores_files() -> None:
    found = [
        f"{path}: {ast.unparse(call)}"
        for path, tree in modules()
        if not path.startswith(tuple(STORERS))
        for call in stores(tree)
    ]
    assert found == []


def test_what_is_stored_of_a_delivery_is_the_vendors_own_or_marked() -> None:
    (delivery,) = (tree for path, tree in modules() if STORERS.get(path) == "delivered files")
    assert [ast.unparse(call.args[0]) for call in stores(delivery)] == ["data"]
    assert {name: assigned(delivery, name) for name in ASSIGNED} == ASSIGNED
    assert returned(delivery, "_marked") == RETURNED


def test_planted_mistakes_are_found() -> None:
    rewritten = ast.parse("def f(data):\n    from PIL import Image\n    Image.open(data).save(out)")
    assert list(encodes(rewritten)) == ["Image.open(data).save(out)"]
    transcoded = ast.parse("import av\nout = av.open(file, 'w')\nout.mux(packet)")
    assert list(encodes(transcoded)) == ["out.mux(packet)"]
    read_only = ast.parse("from PIL import Image\nImage.open(data).load()")
    assert list(encodes(read_only)) == []
    stored = ast.parse("key = get(Media).store(smaller(file.data), 'image/png')")
    assert [ast.unparse(call.args[0]) for call in stores(stored)] == ["smaller(file.data)"]
