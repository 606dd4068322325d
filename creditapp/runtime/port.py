"""The port of a server: one server alone may have it.

The HTTP server lets its worker processes share a port (SO_REUSEPORT), and with it any other server
of the same user: both would start, and each answer half of the requests.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from creditapp.config import SettingsInvalid

CONNECT_SECONDS: Final = 1.0
_TRIES: Final = 50


@contextmanager
def claimed(host: str, port: int, advice: str) -> Iterator[None]:
    """Run a server inside the block; raise ``SettingsInvalid`` for a port in use.

    ``advice`` is the command that takes another port, with ``{port}`` in it. Port 0 is any free
    one.
    """
    with ExitStack() as claims:
        if port:
            _claim(host, port, advice, claims)
        yield


def _claim(host: str, port: int, advice: str, claims: ExitStack) -> None:
    try:
        _try(host, port)
        if sys.platform == "linux":
            claims.enter_context(_lock(host, port))
    except socket.gaierror:
        raise SettingsInvalid(f"HOST: {host} is no address of this machine.") from None
    except OSError as error:
        # A server whose queue is full lets a visitor wait.
        if error.errno == errno.EADDRINUSE or isinstance(error, TimeoutError):
            free = _next_free(host, port)
            raise SettingsInvalid(f"{port} is in use; {advice.format(port=free)}") from None
        reason = (error.strerror or "cannot be used").lower()
        raise SettingsInvalid(f"HOST or PORT: {host}:{port}: {reason}.") from None


def _try(host: str, port: int) -> None:
    """Raise ``OSError`` for a port that another program has, or that a server would share.

    The port is bound as the HTTP server binds it, so that connections which wait out their last
    minute after a restart are no obstacle. A server that shares it accepts a connection.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        tried.bind(address)
        with socket.socket(family, kind, protocol) as visitor:
            visitor.settimeout(CONNECT_SECONDS)
            try:
                # To every address of the machine means: to this machine.
                visitor.connect(address)
            except ConnectionRefusedError:
                return
            if visitor.getsockname() == visitor.getpeername():
                return  # of all ports the system gave it this one: it has met itself
    raise OSError(errno.EADDRINUSE, "a server accepts connections")


def _lock(host: str, port: int) -> socket.socket:
    """Return a lock that ends with this process.

    Of two servers that start at once both find the port free: it is served only when the workers
    have loaded the app.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A name that begins with a zero byte is no file: it is freed with its last process.
        lock.bind(f"\0creditapp/{host}/{port}")
    except OSError:
        lock.close()
        raise
    return lock


def _next_free(host: str, port: int) -> int:
    for other in range(port + 1, min(port + _TRIES, 65_536)):
        try:
            _try(host, other)
        except OSError:
            continue
        return other
    return 0
