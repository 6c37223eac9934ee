"""A client of raw bytes, for what a well-behaved HTTP client would not send or not show."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

Application = Callable[[Any, Any, Any], Awaitable[None]]

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """One response as it came over the wire; ``headers`` as sent, in order."""

    status: int
    reason: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The first field of that name."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


class Connection:
    """One connection to a server: a port on the loopback, or the path of a Unix socket. Every
    wait is bounded."""

    def __init__(self, address: int | str, *, receive_buffer: int | None = None) -> None:
        by_port = isinstance(address, int)
        self.socket = socket.socket(socket.AF_INET if by_port else socket.AF_UNIX)
        self.socket.settimeout(20)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", address) if by_port else address)
        self._input = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self.socket.sendall(data)

    def reset(self) -> None:
        """Close with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def line(self) -> bytes:
        """The next line without its end."""
        while b"\r\n" not in self._input:
            self._more()
        line, _, self._input = self._input.partition(b"\r\n")
        return line

    def take(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        while len(self._input) < count:
            self._more()
        data, self._input = self._input[:count], self._input[count:]
        return data

    def rest(self) -> bytes:
        """Everything until the server closes."""
        while data := self._receive():
            self._input += data
        data, self._input = self._input, b""
        return data

    def head(self) -> tuple[int, str, list[tuple[bytes, bytes]]]:
        """A status line and the fields behind it."""
        version, status, reason = (self.line() + b" ").split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = []
        while line := self.line():
            name, _, value = line.partition(b": ")
            headers.append((name, value))
        return int(status), reason.decode().strip(), headers

    def answer(self, *, head: bool = False) -> Answer:
        """The next response; ``head``: it answers a HEAD request."""
        status, reason, headers = self.head()
        fields = {name.lower(): value for name, value in headers}
        if head or status < 200 or status in (204, 304):
            body = b""
        elif b"content-length" in fields:
            body = self.take(int(fields[b"content-length"]))
        elif fields.get(b"transfer-encoding") == b"chunked":
            body = b"".join(self.chunks())
        else:
            body = self.rest()
        return Answer(status, reason, headers, body)

    def chunks(self) -> list[bytes]:
        """The chunks of a body up to its end."""
        chunks = []
        while size := int(self.line(), 16):
            chunks.append(self.take(size))
            assert self.line() == b""
        assert self.line() == b""
        return chunks

    def ask(self, request: bytes = GET) -> Answer:
        """Send a request and read its answer."""
        self.send(request)
        return self.answer(head=request.startswith(b"HEAD "))

    def closed(self) -> bool:
        """Wait for the server to close; False when it sent something instead."""
        return self._input == b"" and self._receive() == b""

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def _more(self) -> None:
        data = self._receive()
        if not data:
            raise EOFError(f"the server closed after {self._input!r}")
        self._input += data


async def respond(
    send: Any,
    body: bytes = b"",
    status: int = 200,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """A whole response in two messages, with a Content-Length."""
    length = (b"content-length", str(len(body)).encode())
    fields = [*(headers or []), length]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
