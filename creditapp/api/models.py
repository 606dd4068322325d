"""What the JSON API says, typed: the answers are built from these, and OpenAPI is drawn from them.

Python writes snake_case, JSON camelCase. ``Credits`` is a plain number with at most 6 decimals.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)
from pydantic.alias_generators import to_camel

from creditapp.generation.models import STATES
from creditapp.units import credits_number

Credits = Annotated[
    int | Decimal,
    WithJsonSchema({"type": "number", "description": "Credits, with at most 6 decimals."}),
]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
TYPES = ("PURCHASE", "CREDIT", "DEBIT", "REFUND", "EXPIRY")
OneOfTypes = Annotated[str, WithJsonSchema({"type": "string", "enum": list(TYPES)})]
OneOfStates = Annotated[str, WithJsonSchema({"type": "string", "enum": list(STATES)})]


class Answer(BaseModel):
    """The base of every answer."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    def as_json(self) -> dict[str, Any]:
        """Return the answer's plain data, without what does not apply."""
        return self.model_dump(by_alias=True, exclude_none=True)


def credits(micro: int) -> int | Decimal:
    """Return microcredits as the number of credits that JSON shows."""
    return credits_number(micro)


class Expiring(Answer):
    """Credits that end at one moment."""

    amount: Credits
    expires_at: Moment


class Wallet(Answer):
    """What a member has. ``balance`` can be spent; what is held stands apart."""

    balance: Credits
    held: Credits
    frozen: Credits
    owed: Credits
    lifetime_granted: Credits
    lifetime_spent: Credits
    welcome: Credits
    purchased: Credits
    expiring: list[Expiring]


class Transaction(Answer):
    """One line of history. ``balanceAfter`` is the total, with what is held."""

    id: str
    type: OneOfTypes
    amount: Credits
    balance_after: Credits
    operation: str
    description: str | None = None
    metadata: dict[str, Any]
    created_at: Moment


class GuestInfo(Answer):
    """What a guest has left."""

    limit: int
    remaining: int
    reset_at: Moment | None = None
    signup_url: str
    signup_credits: Credits

    @model_serializer(mode="wrap")
    def _whole(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Before the first use nothing comes back at any moment: the field is there, and null.
        return {"resetAt": None, **write(self)}


class CreditsAnswer(Answer):
    """A member's credits with the latest transactions, or what a guest has left."""

    credits: Wallet | None = None
    transactions: list[Transaction] | None = None
    guest_info: GuestInfo | None = None


class BalanceAnswer(Answer):
    """A member's balance alone."""

    balance: Credits
    lifetime_spent: Credits


class TransactionPage(Answer):
    """A page of history; ``nextCursor`` is missing on the last one."""

    items: list[Transaction]
    next_cursor: str | None = None


class PackAnswer(Answer):
    """A pack on sale. Bonus and saving are missing where there is none."""

    id: str
    name: str
    price: Annotated[Decimal, WithJsonSchema({"type": "number"})]
    price_minor: int
    currency: str
    credits: Credits
    bonus: Credits | None = None
    saving_percent: int | None = None
    per_credit: Annotated[Decimal, WithJsonSchema({"type": "number"})]
    best_value: bool
    description: str


class ModelCost(Answer):
    """What one model costs."""

    model: str
    name: str
    credits: Credits | None = None
    by_quality: dict[str, Credits] | None = None
    description: str


class OperationCost(Answer):
    """What one operation costs, and with which models."""

    operation: str
    name: str
    from_credits: Credits | None = None
    description: str
    models: list[ModelCost]


class CostsAnswer(Answer):
    """The whole price list."""

    operations: list[OperationCost]
    version: str


class QuoteLine(Answer):
    """One part of a price."""

    label: str
    credits: Credits


class QuoteAnswer(Answer):
    """What a request would cost, before it is made."""

    operation: str
    model: str | None = None
    credits: Credits
    description: str
    lines: list[QuoteLine]
    estimated: bool
    version: str
    balance: Credits | None = None
    affordable: bool | None = None


class AssetAnswer(Answer):
    """One file that was made. What its kind does not have is null: an image has no seconds."""

    url: str
    mime_type: str
    width: int | None = None
    height: int | None = None
    seconds: int | None = None

    @model_serializer(mode="wrap")
    def _whole(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {**dict.fromkeys(("url", "mimeType", "width", "height", "seconds")), **written}


class ChargeAnswer(Answer):
    """What a generation cost, and what is left."""

    used: Credits
    remaining: Credits


class GenerationError(Answer):
    """Why a generation made nothing."""

    code: str
    detail: str


class GenerationAnswer(Answer):
    """A generation: its state, and once it succeeded its assets."""

    id: str
    status: OneOfStates
    operation: str
    model: str
    prompt: str
    progress: int = Field(description="Percent.")
    preview: bool
    created_at: Moment
    assets: list[AssetAnswer]
    image_url: str | None = None
    credits: ChargeAnswer | None = None
    guest_info: GuestInfo | None = None
    error: GenerationError | None = None


class GenerationPage(Answer):
    """A page of generations, the newest first."""

    items: list[GenerationAnswer]
    next_cursor: str | None = None


class FieldError(Answer):
    """One field that needs another value."""

    field: str
    message: str


class Problem(Answer):
    """A refusal, as RFC 9457 writes it; the fields beyond ``error`` belong to single codes."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    error: str = Field(description="The same as detail, for older clients.")
    request_id: str | None = None
    support_email: str | None = None
    errors: list[FieldError] | None = None
    required: Credits | None = None
    balance: Credits | None = None
    shortfall: Credits | None = None
    packs_url: str | None = None
    plans_url: str | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_at: Moment | None = None
    signup_url: str | None = None
    signup_credits: Credits | None = None
    credits_charged: Credits | None = None
    generation_id: str | None = None


class Received(Answer):
    """An event of Stripe's is stored, was stored before, or is none of ours."""

    received: bool


class Liveness(Answer):
    """This process answers."""

    status: str


class Readiness(Answer):
    """Whether requests can be served, and what of it is missing."""

    status: str = Field(description="ok or unavailable.")
    database: str = Field(description="ok or unreachable.")
    jobs: str = Field(description="ok, no worker or unreachable.")
