"""Images of messages: whose they are, which of them are sent, and in what size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from creditapp.accounts import Member
from creditapp.catalog import Catalog
from creditapp.catalog.models import LanguageModel
from creditapp.chat.providers import ChatMessage
from creditapp.errors import NotFound, ValidationFailed
from creditapp.generation import sources
from creditapp.generation.models import Upload
from creditapp.generation.providers import SourceFile
from creditapp.generation.sources import Source, Sources
from creditapp.generation.uploads import refusal_of
from creditapp.media import Media
from creditapp.rate_limits import CHAT_IMAGES_MAX, CHAT_IMAGES_SENT_MAX
from creditapp.services import get

SIDE_MAX: Final = 1568
"""The longer side of an image that is sent: vendors make larger ones smaller themselves. The
catalog's ``image_tokens`` count such an image."""
BYTES_MAX: Final = 1024 * 1024
"""A file of more is sent as a JPEG."""
DELETED: Final = "[An image of this message was deleted.]"
EARLIER: Final = "[An image of this message is no longer sent.]"


def find(
    session: Session, by: Member, history: Sequence[ChatMessage], new: Sequence[ChatMessage]
) -> tuple[list[ChatMessage], Sources]:
    """Return all messages with the ids of the images to send, and these images.

    The text says in the place of an image that it was deleted since, or that it is one of the
    earlier ones, which are no longer sent. Raises ``NotFound`` for a new image that is not the
    member's, and ``ValidationFailed`` for a file that is no image, or too many in one message.
    """
    messages = [*history, *new]
    own = sources.own_sources(session, by, [id for each in messages for id in each.image_ids])
    for message in new:
        _check(message, own)
    room, found = CHAT_IMAGES_SENT_MAX, list[ChatMessage]()
    for message in reversed(messages):
        kept = [each for each in message.image_ids if each in own]
        sent = kept[: max(0, room)]
        room -= len(sent)
        notes = [DELETED] * (len(message.image_ids) - len(kept))
        notes += [EARLIER] * (len(kept) - len(sent))
        text = "\n\n".join([*notes, message.text])
        found.append(replace(message, text=text, image_ids=tuple(sent)))
    found.reverse()
    return found, {id: own[id] for each in found for id in each.image_ids}


def require_taken(catalog: Catalog, model: LanguageModel, images: Sources) -> None:
    """Raise ``ValidationFailed`` if there are images and the model takes none."""
    if not images or model.takes_images:
        return
    able = ", ".join(each.id for each in catalog.language_models if each.takes_images)
    choices = f" Choose one of these: {able}." if able else ""
    raise ValidationFailed.of(
        "model", f"{model.name} takes no images, and this conversation has some.{choices}"
    )


def bind(session: Session, conversation_id: str, images: Sources, now: datetime) -> None:
    """Note the use of images; an upload that nothing used before belongs to the conversation."""
    upload_ids = [each for each in images if sources.UPLOAD_ID.fullmatch(each)]
    if not upload_ids:
        return
    unused = Upload.used_at == Upload.created_at
    session.execute(
        update(Upload)
        .where(Upload.id.in_(upload_ids), Upload.conversation_id.is_(None), unused)
        .values(conversation_id=conversation_id)
        .execution_options(synchronize_session=False)
    )
    sources.note_use(session, images, now)


def read(messages: Sequence[ChatMessage], images: Sources) -> list[ChatMessage]:
    """Return the messages with their files, as vendors take them. Reads the media store.

    A file that was deleted in the meantime is said to be so, and not sent.
    """
    files = {each.id: _file(each) for each in images.values()}
    loaded = []
    for message in messages:
        present = tuple(file for each in message.image_ids if (file := files[each]) is not None)
        notes = [DELETED] * (len(message.image_ids) - len(present))
        text = "\n\n".join([*notes, message.text])
        loaded.append(replace(message, text=text, images=present))
    return loaded


def _check(message: ChatMessage, own: Sources) -> None:
    missing = next((each for each in message.image_ids if each not in own), None)
    if missing:
        raise NotFound(f"You have no file {missing}; it may have been deleted.")
    if len(message.image_ids) > CHAT_IMAGES_MAX:
        raise ValidationFailed.of("images", f"A message takes at most {CHAT_IMAGES_MAX} images.")
    kinds = [own[each].kind for each in message.image_ids]
    other = next((kind for kind in kinds if kind != "image"), None)
    if other:
        raise ValidationFailed.of(
            "images", refusal_of({"refused": "kind", "kind": other, "kinds": ["image"]}).detail
        )


def _file(source: Source) -> SourceFile | None:
    try:
        with get(Media).open(source.media_key) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    side = max(source.width or 0, source.height or 0)
    if len(data) <= BYTES_MAX and 0 < side <= SIDE_MAX:
        return SourceFile(data, source.mime_type)
    return SourceFile(as_jpeg(data), "image/jpeg")


def as_jpeg(data: bytes) -> bytes:
    """Return an image as a smaller JPEG, on white; it was decoded when it came in."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
        image.draft("RGB", (SIDE_MAX, SIDE_MAX))
        image.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS, reducing_gap=2.0)
        upright = ImageOps.exif_transpose(image)
    shown = Image.new("RGB", upright.size, "white")
    layer = upright.convert("RGBA")
    shown.paste(layer, mask=layer.getchannel("A"))
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=85)
    return out.getvalue()
