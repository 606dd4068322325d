"""Every limit on how often, how much and how long: what it counts by, how many, and why.

``http`` and ``api`` enforce those of requests; accounts, guests and payments enforce theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final


@dataclass(frozen=True)
class RateLimit:
    """At most ``limit`` within a window that opens with the first, counted by one thing."""

    limit: int
    window: timedelta
    counts_by: str

    def times(self, multiple: int) -> RateLimit:
        """Return the limit of ``multiple`` subscribers together."""
        return replace(self, limit=self.limit * multiple)


_QUARTER_HOUR: Final = timedelta(minutes=15)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MB: Final = 1024 * 1024

# Requests. A limit by network is that of an IPv4 address or an IPv6 /64, kept as keyed hashes. An
# IPv6 /56 may use twice as much, an IPv6 /48 and an IPv4 /24 four times (accounts/networks.py).

REQUESTS: Final = RateLimit(1200, timedelta(minutes=1), "network")
"""All requests but webhooks and probes: many people share an office's address. In Redis; without
one, or while it does not answer, each process counts its own."""

KEY_REQUESTS: Final = RateLimit(600, timedelta(minutes=1), "API key")
"""Against one program that takes the share of all others of its network; counted beside it."""

COSTLY_REQUESTS: Final = RateLimit(30, timedelta(minutes=1), "network")
"""Exports, PDFs and shared pages that do not exist: each costs many times what a page does."""

UNSIGNED_WEBHOOKS: Final = RateLimit(600, timedelta(minutes=1), "network")
"""Webhooks with a missing or wrong signature; signed ones have no limit."""

# Accounts. Counted in the database, so that every process counts the same.

LOG_IN: Final = RateLimit(10, _QUARTER_HOUR, "email address and network")
"""Against guessing one account's password."""

LOG_IN_OF_ADDRESS: Final = RateLimit(30, _QUARTER_HOUR, "email address")
"""Against guessing it from many networks."""

LOG_IN_OF_BROWSER: Final = RateLimit(30, _QUARTER_HOUR, "browser that logged in before")
"""In place of the address's limit, which strangers can exhaust."""

LOG_IN_OF_NETWORK: Final = RateLimit(100, _QUARTER_HOUR, "network")
"""Against trying leaked passwords on many accounts."""

RESET_OF_ADDRESS: Final = RateLimit(3, _HOUR, "email address")
"""Against filling a mailbox with reset emails."""

RESET_OF_NETWORK: Final = RateLimit(20, _HOUR, "network")
"""Against sending reset emails to many addresses."""

RESET_USES: Final = RateLimit(10, _HOUR, "account")
"""Against hashing new passwords with one link at the same moment."""

ADDRESS_CHANGES: Final = RateLimit(3, _DAY, "account")
"""Against having emails sent to many addresses."""

SIGN_UP_OF_NETWORK: Final = RateLimit(20, _HOUR, "network")
"""Against opening accounts in bulk."""

TAKEN_OF_NETWORK: Final = RateLimit(3, _DAY, "network")
"""Sign-ups with addresses that have an account; past them no answer tells which have one."""

WELCOME_OF_NETWORK: Final = RateLimit(20, _DAY, "network")
"""Against collecting welcome credits with many accounts; later sign-ups get them when verified."""


def welcome_of_everybody(budget: int) -> RateLimit:
    """Return the limit of the catalog's daily budget: against collecting them from many networks.

    ``budget`` is a number of sign-ups.
    """
    return RateLimit(budget, _DAY, "day (UTC)")


KEY_CHECKS: Final = RateLimit(20, _HOUR, "member")
"""Against trying found keys at their vendors through this site."""

# Guests: the catalog's [guests] decides.

# Generations.

CANCELED_ORDERS: Final = RateLimit(60, _HOUR, "member or guest")
"""Against filling the history with orders that cost nothing."""

OWN_KEY_ORDERS: Final = RateLimit(240, _HOUR, "member")
"""Orders on own keys, which no balance bounds: each takes a worker and room for its files."""

EXPORTS_AT_ONCE: Final = 1
"""Exports of one caller that one process sends at the same time: each holds a thread."""

SELECTED_IMAGES_MAX: Final = 200
"""Images that one request stars, deletes or downloads."""

SELECTION_FIELDS_MAX: Final = 2 * SELECTED_IMAGES_MAX
"""Of a form of selected images: one too many is answered with the limit of images."""

ARCHIVE_BYTES_MAX: Final = 2**30
"""The files of one ZIP archive together."""

# Uploads.

UPLOADS: Final = RateLimit(60, _HOUR, "member")
"""Against having a file read and rewritten all the time."""

UPLOADS_MAX: Final = 200
"""Of one account."""

UPLOADS_BYTES_MAX: Final = 1024 * _MB
"""Of one account's uploads together."""

UPLOAD_DAYS: Final = 30
"""How long an upload that no order uses is kept."""

UPLOADS_AT_ONCE: Final = 4
"""Files that one process lets be rewritten at the same time: each may fill a gigabyte."""

# Payments.

OPEN_CHECKOUTS: Final = RateLimit(20, _HOUR, "buyer")
"""Unpaid checkouts: each one is a session that Stripe keeps."""

STRIPE_REQUESTS: Final = RateLimit(20, timedelta(minutes=1), "member")
"""Requests that ask Stripe, which allows all members together about 100 calls a second."""

PURCHASE_QUESTIONS: Final = RateLimit(1, timedelta(seconds=5), "purchase")
"""Questions to Stripe about a purchase because its buyer came back; otherwise its row answers."""

# Webhooks of members.

WEBHOOK_ADDRESSES: Final = RateLimit(30, _HOUR, "account")
"""New or changed addresses: the first event at each calls a server that may know nothing of it."""

WEBHOOK_TESTS: Final = RateLimit(30, _HOUR, "account")
"""Test events: each is a row, and a request to somebody's server."""

WEBHOOK_RESENDS: Final = RateLimit(300, _HOUR, "account")
"""Events that are sent again by hand, at once even to a server that fails."""

# Agents.

PAYMENT_REQUESTS: Final = RateLimit(60, _HOUR, "network")
"""Unpaid payment requests: each one is a row that stays for a week."""

# Connections and headers.

CONNECTIONS_MAX: Final = 4096
"""At once, of everybody. Only a proxy can count them by network."""

HEADERS_SECONDS: Final = 15
"""How long a connection may take to send a request's headers, or stay silent between requests."""

HEADERS_BYTES_MAX: Final = 64 * 1024
"""Of all headers of a request, which the server keeps in memory while they arrive."""

# Bodies.

FORM_BYTES_MAX: Final = 256 * 1024
"""Of a form."""

FIELDS_MAX: Final = 50
"""Of a form or a query: more than any page sends, few enough to check and to show again."""

JSON_BYTES_MAX: Final = 1024 * 1024
"""Of any other body: a text of 100,000 characters, each written as an escape in JSON, fits."""

JSON_MEMBERS_MAX: Final = 64
"""Of a JSON body's object: more than any route reads, few enough to check."""

UPLOAD_BYTES_MAX: Final = {"image": 20 * _MB, "audio": 20 * _MB, "video": 50 * _MB}
"""Of an uploaded file, by its kind: more than any vendor takes as a source."""

UPLOAD_BODY_BYTES_MAX: Final = 51 * _MB
"""Of a request with an uploaded file: the largest file, and the form around it."""

WEBHOOK_BYTES_MAX: Final = 512 * 1024
"""Of an event: Stripe's largest are a tenth of that."""

BODY_GRACE_SECONDS: Final = 5
"""How long a body may take to arrive, however slowly."""

BODY_BYTES_PER_SECOND_MIN: Final = 4 * 1024
"""How fast a body has to arrive after that: slower than any mobile network in use."""

BODY_MEMORY_BYTES_MAX: Final = JSON_BYTES_MAX
"""A longer body is written to a temporary file while it arrives."""


@dataclass(frozen=True)
class BodyRoom:
    """How many unfinished bodies may be read at once, and how many bytes all bodies may fill."""

    bodies: int
    bodies_per_network: int
    bytes: int
    bytes_per_second_min: int = BODY_BYTES_PER_SECOND_MIN


BODIES: Final = BodyRoom(bodies=512, bodies_per_network=64, bytes=64 * 1024 * 1024)
"""Reading costs memory and no thread, so there is room for many."""

WEBHOOK_BODIES: Final = BodyRoom(bodies=128, bodies_per_network=64, bytes=16 * 1024 * 1024)
"""Room of its own, so that nothing else delays what Stripe tells about payments."""

UPLOAD_BODIES: Final = BodyRoom(
    bodies=32, bodies_per_network=8, bytes=1024 * _MB, bytes_per_second_min=16 * 1024
)
"""Room of its own, on the disk, so that files crowd out no other request. The largest file may
take an hour."""

# Server threads: how many may do one thing, so that the rest serve pages.


def webhook_threads(threads: int) -> int:
    """Return how many threads serve webhooks alone, besides the others."""
    return max(2, threads // 8)


STALL_SECONDS: Final = 30
"""How long a client may take to read a part of a stream, whose thread waits for it."""


def working_requests(threads: int) -> int:
    """Return how many requests may work at once: more of them only wait for one another."""
    return max(4, threads // 4)


WORKING_SECONDS: Final = 0.5
"""A request that takes longer is taken to wait for something, and another one may work."""


def waiting_requests(threads: int) -> int:
    """Return how many API requests may wait at once for a generation to end."""
    return max(1, threads // 4)


def stripe_requests(threads: int) -> int:
    """Return how many requests may wait for Stripe at once."""
    return max(1, threads // 4)


def chat_turns(threads: int) -> int:
    """Return how many answers of language models one process reads at once, each with a thread."""
    return max(2, threads // 4)


CHAT_MESSAGES_MAX: Final = 500
"""Of one request."""

CHAT_BYTES_MAX: Final = 2 * _MB
"""Of a whole prompt, the conversation's history included: more than any model reads."""

V1_CHAT_BYTES_MAX: Final = 20 * _MB
"""Of a request of OpenAI's shape: its clients send images in the JSON itself."""

CHAT_IMAGES_MAX: Final = 4
"""Of one message."""

CHAT_IMAGES_SENT_MAX: Final = 16
"""Of a whole prompt, the newest ones: a vendor's request holds 32 MB, and each is read again."""

EMBEDDED_TEXTS_MAX: Final = 100
"""Of one request: the vectors are sent, and with a key stored, as one JSON text."""

MCP_MAX_MICRO: Final = 10_000_000
"""The most that one call of a tool at ``/mcp`` may cost where it names no ``maxCredits``: 10
credits. A language model decides about the call, and nobody may be watching."""

MCP_BATCH_MAX: Final = 10
"""Messages of one batch at ``/mcp``, of the versions of the protocol that have batches."""

MCP_IMAGE_BYTES_MAX: Final = 700 * 1024
"""Of an image in a tool's result: in base64 it stays below the megabyte that clients take."""

GENERATION_WAIT_SECONDS: Final = 30
"""How long an API request waits at most for a generation to end."""

RESULT_WAIT_SECONDS: Final = 300
"""How long one waits that cannot answer before the end: OpenAI's clients give up after ten
minutes, and no model here takes that long."""
