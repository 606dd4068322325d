"""Pricing: quotes before a generation and its cost after delivery; pure functions over a catalog.

Integers only. A cost is rounded up to the next microcredit, and the lines of a quote add up to its
cost. Each quote has a sentence that explains the price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import amount, count
from creditapp.catalog.models import (
    IMAGE_OPERATIONS,
    OPERATIONS,
    TEXT_TO_IMAGE,
    TOKEN_OPERATIONS,
    Operation,
    ServedModel,
)
from creditapp.catalog.selection import accepted_qualities, image_model, language_model
from creditapp.catalog.tokens import (
    TOKENS_MAX,
    CostLine,
    MillionTokens,
    estimated_tokens,
    million_tokens,
    token_lines,
)
from creditapp.errors import ValidationFailed
from creditapp.units import divide_up


@dataclass(frozen=True, slots=True)
class PriceRequest:
    """The parameters that decide a price. ``None`` takes the catalog's default.

    ``seconds`` are whole, rounded up; ``text_length`` is in characters of a text to speak, or in
    UTF-8 bytes of a conversation; token counts are known after a call, or limits before it.
    """

    operation: str = TEXT_TO_IMAGE
    model: str | None = None
    n: int = 1
    quality: str | None = None
    size: str | None = None
    seconds: int | None = None
    text_length: int | None = None
    input_tokens: int | None = None
    cached_tokens: int = 0
    """The part of the input tokens that the provider had cached."""
    output_tokens: int | None = None
    cache_write_tokens: int = 0
    """The part of the input tokens that the provider put into its cache."""
    length_field: str = "seconds"
    """The member of the body that sets the length, as an error names it."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A price and its explanation. ``cost_micro`` is ``unit_micro`` x ``units``, except for tokens.

    ``estimated`` means that the real usage decides. It never costs more than ``cost_micro``, except
    for tokens: there what is held is the most.
    """

    operation: str
    model: str | None
    model_name: str
    cost_micro: int
    unit_micro: int
    units: int
    sentence: str
    lines: tuple[CostLine, ...]
    estimated: bool
    version: str
    """The catalog version, pinned with the order."""
    million_tokens: MillionTokens | None = None
    """The price of tokens at this length of the prompt; None where nothing is paid by the token."""


def quote(catalog: Catalog, request: PriceRequest) -> Quote:
    """Return the price of ``request``; raise ``ValidationFailed`` naming each wrong field."""
    operation = catalog.operation(request.operation)
    if operation is None:
        raise ValidationFailed.of("operation", _unknown_operation(catalog, request.operation))
    if operation.id in IMAGE_OPERATIONS:
        return _images(catalog, operation, request)
    if operation.id in TOKEN_OPERATIONS:
        return _tokens(catalog, operation, request)
    if request.model not in (None, operation.id):
        raise ValidationFailed.of(
            "model", f"{operation.name} has no choice of models: leave it out."
        )
    if not _is_whole(request.n, 1, 1):
        raise ValidationFailed.of("n", f"{operation.name} makes one at a time.")
    if operation.steps:
        return _by_steps(catalog, operation, request)
    if operation.block_seconds:
        return _by_blocks(catalog, operation, operation.block_seconds, request)
    price = operation.price_micro or 0
    sentence = f"{operation.name}, {amount(catalog, price)}"
    return _quote(catalog, operation, price, 1, sentence)


def delivered_micro(
    catalog: Catalog, quoted: Quote, *, images: int | None = None, seconds: int | None = None
) -> int:
    """Return the cost of what was delivered; never more than the quote.

    ``images`` is the number of delivered images, ``seconds`` the real length, rounded up.
    ``catalog`` is the version that the quote pinned.
    """
    if images is not None:
        return quoted.unit_micro * max(0, min(images, quoted.units))
    operation = catalog.operation(quoted.operation)
    if seconds is None or operation is None:
        return quoted.cost_micro
    if seconds <= 0:
        return 0
    if operation.block_seconds:
        blocks = divide_up(seconds, operation.block_seconds)
        return quoted.unit_micro * min(blocks, quoted.units)
    prices = [step.price_micro for step in operation.steps if seconds <= step.up_to_seconds]
    return min([*prices, quoted.cost_micro])


def guest_refusal(catalog: Catalog, request: PriceRequest) -> str | None:
    """Return why a guest may not order this, in words for people; ``None`` when they may.

    Guests order one image from text at a time, on the catalog's guest models, at most in their
    default quality. An invalid request is refused by ``quote``, not here.
    """
    if request.operation != TEXT_TO_IMAGE:
        return "Sign up to use more than text to image."
    if request.n != 1:
        return "Without an account, images are made one at a time."
    model = catalog.model(request.model or catalog.default_model)
    if model is not None and not model.guests:
        return f"Sign up to use {model.name}."
    if model is not None and model.price_at(request.quality) > model.price_micro:
        return f"Sign up to use {model.name} in {request.quality} quality."
    return None


def _images(catalog: Catalog, operation: Operation, request: PriceRequest) -> Quote:
    model = image_model(catalog, request.operation, request.model)
    errors = {}
    if not _is_whole(request.n, 1, model.max_images):
        most = model.max_images
        allowed = "one image" if most == 1 else f"1 to {most} images"
        errors["n"] = f"{model.name} makes {allowed} at once."
    if request.quality is not None and request.quality not in accepted_qualities(catalog, model):
        choices = ", ".join(accepted_qualities(catalog, model)) or "none"
        errors["quality"] = f"Choose one of these qualities: {choices}."
    if model.shape(request.size) is None:
        choices = ", ".join(f"{shape.aspect} ({shape.size})" for shape in model.shapes)
        errors["size"] = f"{model.name} makes these sizes: {choices}."
    if errors:
        raise ValidationFailed.of_fields(errors)
    price = model.price_at(request.quality)
    name = model.name
    if model.qualities:
        name = f"{model.name}, {request.quality or model.default_quality}"
    # The price of one image is beside the sentence already; several images are a product.
    sentence = f"{name}, 1 image"
    if request.n > 1:
        sentence = f"{name}, {amount(catalog, price)} × {count(request.n, 'image')}"
    return _quote(catalog, operation, price, request.n, sentence, model=model)


def _by_steps(catalog: Catalog, operation: Operation, request: PriceRequest) -> Quote:
    longest = operation.steps[-1].up_to_seconds
    seconds = operation.steps[0].up_to_seconds if request.seconds is None else request.seconds
    if not _is_whole(seconds, 1, longest):
        raise ValidationFailed.of("seconds", f"{operation.name} is 1 to {longest} s long.")
    step, span = next(
        (step, span)
        for step, span in zip(operation.steps, operation.spans, strict=True)
        if seconds <= step.up_to_seconds
    )
    sentence = f"{operation.name}, {seconds} s: {amount(catalog, step.price_micro)} for {span}"
    return _quote(catalog, operation, step.price_micro, 1, sentence)


def _by_blocks(
    catalog: Catalog, operation: Operation, block_seconds: int, request: PriceRequest
) -> Quote:
    seconds, estimated = _length(operation, request)
    blocks = divide_up(seconds, block_seconds)
    sentence = (
        f"{operation.name}, {'about ' if estimated else ''}{seconds} s: "
        f"{count(blocks, 'started block')} of {block_seconds} s"
    )
    price = operation.price_micro or 0
    return _quote(catalog, operation, price, blocks, sentence, estimated=estimated)


def _length(operation: Operation, request: PriceRequest) -> tuple[int, bool]:
    """Return the length in seconds, and whether it is estimated from a text."""
    longest = operation.max_seconds or 0
    if request.seconds is not None:
        if not _is_whole(request.seconds, 1, longest):
            refusal = f"{operation.name} is 1 to {longest} s long."
            raise ValidationFailed.of(request.length_field, refusal)
        return request.seconds, False
    if operation.characters_per_second is None:
        raise ValidationFailed.of("seconds", "Say how many seconds long it is.")
    if not request.text_length or request.text_length < 0:
        raise ValidationFailed.of("prompt", "Write the text to speak.")
    seconds = divide_up(request.text_length, operation.characters_per_second)
    if seconds > longest:
        raise ValidationFailed.of(
            "prompt", f"This text is about {seconds:,} s long; at most {longest:,} s are spoken."
        )
    return seconds, True


def _tokens(catalog: Catalog, operation: Operation, request: PriceRequest) -> Quote:
    model = language_model(catalog, request.operation, request.model)
    cached, cache_write = request.cached_tokens, request.cache_write_tokens
    numbers = (request.input_tokens, cached, cache_write, request.output_tokens)
    if not all(number is None or _is_whole(number, 0, TOKENS_MAX) for number in numbers):
        raise ValidationFailed.of("tokens", f"Tokens are whole numbers up to {TOKENS_MAX:,}.")
    input_tokens, output_tokens = request.input_tokens, request.output_tokens
    estimated = input_tokens is None or output_tokens is None
    about, up_to = "", ""
    if input_tokens is None:
        about = "about "
        input_tokens = min(estimated_tokens(max(0, request.text_length or 0)), TOKENS_MAX)
    if output_tokens is None:
        up_to = "up to "
        output_tokens = model.max_output_tokens
    if cached + cache_write > input_tokens:
        raise ValidationFailed.of("tokens", "No more tokens can be cached than were read.")
    lines = token_lines(catalog, model, input_tokens, cached, output_tokens, cache_write)
    cost = sum(line.cost_micro for line in lines)
    sentence = f"{model.name}, {about}{count(input_tokens, 'token')} in"
    if model.output_micros_usd:
        sentence += f", {up_to}{output_tokens:,} out"
    priced = _quote(
        catalog, operation, cost, 1, sentence, model=model, lines=lines, estimated=estimated
    )
    million = million_tokens(catalog, model.prices_at(input_tokens))
    return replace(priced, million_tokens=million)


def _quote(
    catalog: Catalog,
    operation: Operation,
    unit_micro: int,
    units: int,
    sentence: str,
    *,
    model: ServedModel | None = None,
    lines: tuple[CostLine, ...] | None = None,
    estimated: bool = False,
) -> Quote:
    cost_micro = unit_micro * units
    return Quote(
        operation=operation.id,
        model=model.id if model else None,
        model_name=model.name if model else operation.name,
        cost_micro=cost_micro,
        unit_micro=unit_micro,
        units=units,
        sentence=sentence,
        lines=(CostLine(sentence, cost_micro),) if lines is None else lines,
        estimated=estimated,
        version=catalog.version,
    )


def _unknown_operation(catalog: Catalog, name: str) -> str:
    if name in OPERATIONS:
        return f"This shop does not offer {name}."
    return f"Choose one of these: {', '.join(operation.id for operation in catalog.operations)}."


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
