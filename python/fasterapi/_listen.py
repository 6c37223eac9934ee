"""Listening sockets: of a server on TCP, and those that a supervisor opens once and its workers
share, so that no connection is lost while a worker is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import Any, TypeAlias

__all__ = ["ListenError", "bind_sockets", "describe"]

_Address: TypeAlias = tuple[int, tuple[Any, ...]]  # family, and what bind() takes

# An address that a name has and this machine has not.
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
_PORT_ATTEMPTS = 8


class ListenError(Exception):
    """The address cannot be listened on; ``str()`` is one clear sentence."""


def bind_sockets(
    *,
    host: str | None,
    port: int,
    uds: str | None = None,
    fd: int | None = None,
    backlog: int = 2048,
) -> list[socket.socket]:
    """Bound, listening sockets for one address, closed on exec unless passed on by hand.

    ``fd`` adopts an inherited listening descriptor, ``uds`` a path for a Unix socket (a stale
    file is replaced, mode 0666), otherwise every address of ``host`` (None: all IPv4
    interfaces) is bound to ``port``; port 0 is chosen by the system, the same for every address.
    Raises :class:`ListenError`.
    """
    if fd is not None:
        try:
            return [socket.socket(fileno=fd)]
        except OSError as exc:
            raise ListenError(f"file descriptor {fd} is no socket: {exc.strerror}") from exc
    if uds is not None:
        return [_bind_unix(uds, backlog)]
    return _bind_tcp(host, port, backlog)


def _bind_tcp(host: str | None, port: int, backlog: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(
            host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as exc:  # the latter for a label that is empty or too long
        reason = getattr(exc, "strerror", None) or exc
        raise ListenError(f'cannot resolve host "{host}": {reason}') from exc
    addresses: list[_Address] = [(family, address) for family, *_, address in dict.fromkeys(found)]
    for attempt in range(_PORT_ATTEMPTS):
        try:
            return _bind_all(addresses, port, backlog)
        except OSError as exc:
            # The system's choice for the first address may be taken on another one.
            taken = port == 0 and exc.errno == errno.EADDRINUSE
            if not taken or attempt == _PORT_ATTEMPTS - 1:
                raise ListenError(_tcp_sentence(host, port, exc)) from exc
    raise AssertionError("unreachable")


def _bind_all(addresses: list[_Address], port: int, backlog: int) -> list[socket.socket]:
    """A socket for every address that this machine has; at least one, else ``OSError``."""
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, address in addresses:
            if sockets and port == 0:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            try:
                sockets.append(_bind_one(family, address, backlog))
            except OSError as exc:
                if exc.errno not in _ABSENT:
                    raise
                absent = exc  # "localhost" is ::1 too where IPv6 is off
        if absent is not None and not sockets:
            raise absent
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind_one(family: int, address: tuple[Any, ...], backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _tcp_sentence(host: str | None, port: int, exc: OSError) -> str:
    where = f"{host or '0.0.0.0'}:{port}"
    if exc.errno == errno.EADDRINUSE:
        return f"cannot listen on {where}: the address is already in use"
    return f"cannot listen on {where}: {exc.strerror}"


def _bind_unix(path: str, backlog: int) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        os.chmod(path, 0o666)
        sock.listen(backlog)
    except OSError as exc:
        sock.close()
        raise ListenError(f"cannot listen on {path}: {exc.strerror or exc}") from exc
    return sock


def _remove_stale(path: str) -> None:
    """Unlink a socket file that nobody answers on; refuse anything else that is there."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as exc:
        raise ListenError(f"cannot listen on {path}: {exc.strerror}") from exc
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on {path}: a file that is no socket is there")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.setblocking(False)  # the queue of whoever listens there may be full
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            stale = True
        except BlockingIOError:
            stale = False
        except OSError as exc:
            raise ListenError(f"cannot listen on {path}: {exc.strerror}") from exc
        else:
            stale = False
    if not stale:
        raise ListenError(f"cannot listen on {path}: the address is already in use")
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise ListenError(f"cannot listen on {path}: {exc.strerror}") from exc


def describe(sockets: list[socket.socket]) -> str:
    """Where the first socket listens, for people: a URL or ``unix socket PATH``."""
    sock = sockets[0]
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix socket {name}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"
