"""One request to a receiver: to a checked IP address, bounded in time, its body not kept.

The URL names the IP address, and ``Host`` and TLS name the host: the certificate is verified for
it. No redirect is followed, no proxy of the environment is used, nothing is decompressed. The
library is imported when it is first used, because that takes a while.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from creditapp.clock import Clock
from creditapp.webhooks_out import addresses
from creditapp.webhooks_out.addresses import AddressRefused, Target, UnknownHost

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 15.0
"""From the lookup of the name to the end of what is read, however slowly bytes arrive."""
ADDRESSES_MAX: Final = 2
"""Of one name, tried in turn where the first does not answer."""
READ_BYTES_MAX: Final = 16 * 1024
"""Of the answer, so that an ordinary receiver can write it; it is dropped."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of an attempt: the status, or a word for what went wrong."""

    status: int | None = None
    problem: str | None = None
    retry_after: timedelta | None = None
    """How long the receiver asks to wait."""
    milliseconds: int = 0

    @property
    def ok(self) -> bool:
        """Whether the receiver took it."""
        return self.problem is None


def post(url: str, body: bytes, headers: Mapping[str, str], *, loopback: bool) -> Outcome:
    """Post ``body`` once and return the outcome; never raises for what the receiver does.

    The problems are ``refused_address``, ``unknown_host``, ``lookup_failed``, ``no_lookup``,
    ``no_connection``, ``no_answer``, ``tls``, ``timeout``, ``redirect`` and ``status``.
    """
    started = time.monotonic()
    with _Deadline(TOTAL_SECONDS) as deadline:
        try:
            target = addresses.parse(url, loopback=loopback)
            ips = addresses.resolve(target)[:ADDRESSES_MAX]
        except AddressRefused:
            outcome = Outcome(problem="refused_address")
        except TimeoutError:
            outcome = Outcome(problem="no_lookup")
        except UnknownHost:
            outcome = Outcome(problem="unknown_host")
        except OSError:
            outcome = Outcome(problem="lookup_failed")
        else:
            for ip in ips:
                outcome = _send(target, ip, body, headers, deadline)
                if outcome.problem not in ("no_connection", "no_answer"):
                    break
    return replace(outcome, milliseconds=round((time.monotonic() - started) * 1000))


class _Deadline:
    """Ends a request at a moment, whatever it waits for, by shutting its socket down.

    The library's own timeouts count from byte to byte.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._stream: Any = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Remember the connection; the library calls this at each step."""
        if self.passed:
            raise TimeoutError
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream = info["return_value"]

    def _end(self) -> None:
        self.passed = True
        connection = self._stream and self._stream.get_extra_info("socket")
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already


def _send(
    target: Target, ip: str, body: bytes, headers: Mapping[str, str], deadline: _Deadline
) -> Outcome:
    import httpx2

    host = f"[{ip}]" if ":" in ip else ip
    url = f"{'https' if target.tls else 'http'}://{host}:{target.port}{target.path}"
    sent = {**headers, "Host": target.host_header, "Accept-Encoding": "identity"}
    timeout = httpx2.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS)
    extensions = {"sni_hostname": target.host, "trace": deadline.trace}
    outcome = None
    try:
        with (
            httpx2.Client(
                verify=_tls(), trust_env=False, follow_redirects=False, timeout=timeout
            ) as client,
            client.stream("POST", url, content=body, headers=sent, extensions=extensions) as answer,
        ):
            # The status decides, whatever happens to a body that nobody reads.
            outcome = _outcome_of(answer)
            _drop(answer)
    except httpx2.ConnectTimeout:
        return Outcome(problem="no_answer")
    except (httpx2.TimeoutException, TimeoutError):
        return outcome or Outcome(problem="timeout")
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        return outcome or Outcome(problem=_kind_of(error, deadline))
    return outcome


def _drop(response: httpx2.Response) -> None:
    received = 0
    for chunk in response.iter_raw():
        received += len(chunk)
        if received >= READ_BYTES_MAX:
            return


def _outcome_of(answer: httpx2.Response) -> Outcome:
    status = answer.status_code
    if 200 <= status < 300:
        return Outcome(status)
    if 300 <= status < 400:
        return Outcome(status, "redirect")
    return Outcome(status, "status", _retry_after(answer.headers.get("retry-after", "")))


def _retry_after(value: str) -> timedelta | None:
    """Return how long ``Retry-After`` asks to wait: seconds or an HTTP date; None for nonsense."""
    if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return timedelta(seconds=int(value))
    try:
        moment = datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None
    # Real time, as the receiver's: the clock of a demo can be moved.
    return moment - Clock().now()


def _kind_of(error: Exception, deadline: _Deadline) -> str:
    if deadline.passed:
        return "timeout"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls"
        cause = cause.__cause__ or cause.__context__
    return "no_connection"


@cache
def _tls() -> ssl.SSLContext:
    """Return the library's trusted authorities, read once: that takes longer than a request."""
    import httpx2

    return httpx2.create_ssl_context()
