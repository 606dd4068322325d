"""The app for an ASGI server: the body is read first, then the WSGI app runs in a thread.

A WSGI server hands a request to a thread when its headers have arrived, and nothing ends the read
of a body that does not arrive. Here a thread is taken when the body is complete (decision 11).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

import structlog
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header

from creditapp import accounts
from creditapp.config import Settings
from creditapp.errors import AppError
from creditapp.http.body_reader import BodyReader, ClientDisconnected, Receive
from creditapp.http.gate import LEAVE, Gate
from creditapp.http.policies import body_bytes_max
from creditapp.http.request_checks import REFUSAL
from creditapp.http.sessions import address_of
from creditapp.logs import error_fields
from creditapp.rate_limits import (
    BODIES,
    JSON_BYTES_MAX,
    STALL_SECONDS,
    UPLOAD_BODIES,
    WEBHOOK_BODIES,
    webhook_threads,
    working_requests,
)

Send = Callable[[dict[str, Any]], Awaitable[None]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Room:
    """Threads, how many of them work at once, and the memory for the bodies of requests."""

    threads: ThreadPoolExecutor
    gate: Gate
    reader: BodyReader


class AsgiApp:
    """The ASGI application, which serves only HTTP."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._secret = settings.derived_key("guests")
        self._routes = app.url_map.bind("")
        threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="request")
        gate = Gate(working_requests(settings.threads))
        self._usual = _Room(threads, gate, BodyReader(BODIES))
        self._uploads = _Room(threads, gate, BodyReader(UPLOAD_BODIES))
        count = webhook_threads(settings.threads)
        self._webhooks = _Room(
            ThreadPoolExecutor(count, thread_name_prefix="webhook"),
            Gate(count),  # all of them: nothing may delay what Stripe tells
            BodyReader(WEBHOOK_BODIES),
        )

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        environ = environ_of(scope)
        endpoint = self._endpoint(environ)
        room = self._room(endpoint)
        with ExitStack() as held:
            try:
                await self._read_body(environ, endpoint, receive, room.reader, held)
            except ClientDisconnected:
                return
            except AppError as refusal:
                environ[REFUSAL] = refusal
            async with room.gate.entered() as leave:
                environ[LEAVE] = partial(asyncio.get_running_loop().call_soon_threadsafe, leave)
                await _respond(self._app, environ, room.threads, _Stream(receive, send, leave))

    def _room(self, endpoint: str | None) -> _Room:
        if endpoint and endpoint.startswith("webhooks."):
            return self._webhooks
        takes_files = body_bytes_max(self._app, endpoint, "") > JSON_BYTES_MAX
        return self._uploads if takes_files else self._usual

    def _endpoint(self, environ: Mapping[str, Any]) -> str | None:
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        try:
            endpoint: str = self._routes.match(path, environ["REQUEST_METHOD"])[0]
        except HTTPException:
            return None  # the app answers with 404, 405 or a redirect
        return endpoint

    async def _read_body(
        self,
        environ: dict[str, Any],
        endpoint: str | None,
        receive: Receive,
        reader: BodyReader,
        held: ExitStack,
    ) -> None:
        """Read the body into ``wsgi.input``, unless the app refuses it by its length."""
        length = environ.get("CONTENT_LENGTH", "0")
        if length == "0" and "HTTP_TRANSFER_ENCODING" not in environ:
            return
        mime_type = parse_options_header(environ.get("CONTENT_TYPE"))[0].lower()
        bytes_max = body_bytes_max(self._app, endpoint, mime_type)
        if not length.isdecimal() or len(length) > 18 or int(length) > bytes_max:
            return
        address = address_of(environ, self._settings)
        # The largest block around the address: one subscriber has many of the smaller ones.
        network = accounts.networks_of(address, self._secret)[-1].key
        body = await reader.read(held.enter_context(reader.seat(network)), receive, bytes_max)
        held.callback(body.close)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        size = body.seek(0, os.SEEK_END)
        body.seek(0)
        environ |= {"wsgi.input": body, "CONTENT_LENGTH": str(size)}


def environ_of(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the WSGI environment of an ASGI scope, with an empty body.

    Repeated headers are joined. A name with an underscore is left out: its spelling with a hyphen
    would be the same variable, and a proxy sets only that one.
    """
    server_name, server_port = scope["server"]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server_name,
        "SERVER_PORT": str(server_port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileBody,
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in environ:
            separator = "; " if key == "HTTP_COOKIE" else ", "
            text = f"{environ[key]}{separator}{text}"
        environ[key] = text
    return environ


class FileBody:
    """A file as the body of a response: the server reads it, so that no thread waits."""

    def __init__(self, file: BinaryIO, _buffer_bytes: int = 0) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        yield self.file.read()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@dataclass
class _Head:
    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def start(self, status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
        """Keep status and headers, as WSGI's ``start_response``."""
        self.status = int(status[:3])
        self.headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]

    @property
    def has_length(self) -> bool:
        names = {name for name, _ in self.headers}
        return self.status in (204, 304) or b"content-length" in names


class _Stream:
    """One response. ``send_part`` is called by the thread of the request, the rest by the loop."""

    def __init__(self, receive: Receive, send: Send, leave_gate: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._leave_gate = leave_gate
        self._receive = receive
        self._send = send
        self._watch: asyncio.Task[None] | None = None
        self.begun = False

    async def start(self, head: _Head) -> None:
        self.begun = True
        message = {"type": "http.response.start", "status": head.status, "headers": head.headers}
        await self._send(message)

    async def end(self, body: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": body})

    async def send_file(self, file: BinaryIO) -> None:
        await self._send({"type": "http.response.pathsend", "path": str(file.name)})

    def send_part(self, head: _Head, part: bytes) -> None:
        """Send one part and wait until the server takes it.

        Raises ``ClientDisconnected``; also for a client that reads nothing for ``STALL_SECONDS``.
        """
        asyncio.run_coroutine_threadsafe(self._send_part(head, part), self._loop).result()

    async def _send_part(self, head: _Head, part: bytes) -> None:
        if not self.begun:
            self._leave_gate()
            self._watch = asyncio.create_task(self._wait_for_disconnect())
            await self.start(head)
        if self._watch is None or self._watch.done():
            raise ClientDisconnected
        message = {"type": "http.response.body", "body": part, "more_body": True}
        try:
            await asyncio.wait_for(self._send(message), STALL_SECONDS)
        except TimeoutError:
            raise ClientDisconnected from None

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()


async def _respond(
    app: Flask, environ: dict[str, Any], threads: ThreadPoolExecutor, stream: _Stream
) -> None:
    head = _Head()
    try:
        body = await asyncio.get_running_loop().run_in_executor(
            threads, _call_app, app, environ, head, stream
        )
        if not stream.begun:
            await stream.start(head)
        if isinstance(body, FileBody):
            await stream.send_file(body.file)
            body.close()
        else:
            await stream.end(body)
    except ClientDisconnected:
        return
    except Exception as error:
        log.error("request failed", **error_fields(error))
        if not stream.begun:
            await stream.start(_Head())
            await stream.end()
    finally:
        stream.stop_watching()


def _call_app(
    app: Flask, environ: dict[str, Any], head: _Head, stream: _Stream
) -> bytes | FileBody:
    """Return the body of the response; one without a length is sent part by part, its end left."""
    parts = app.wsgi_app(environ, head.start)  # type: ignore[arg-type]  # returns no writer
    if isinstance(parts, FileBody):
        return parts
    try:
        if head.has_length:
            return b"".join(parts)
        for part in parts:
            if part:
                stream.send_part(head, part)
        return b""
    finally:
        if (close := getattr(parts, "close", None)) is not None:
            close()
