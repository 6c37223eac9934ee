"""A small HTTP/1.1 client on a raw socket: the bytes a server really sends, with a
deadline for the whole exchange, so that a hanging server is an error and not a wait."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from fabench.errors import ContenderFailed
from fabench.model import Request

_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed response; header names in lower case, in the order received."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of the header, or None."""
        return next((value for key, value in self.headers if key == name), None)


def encode(request: Request) -> bytes:
    """The request as sent: the fields wrk sends, no more."""
    body = request.body.encode()
    lines = [f"{request.method} {request.path} HTTP/1.1", "Host: 127.0.0.1"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One client connection with a deadline. Not for pipelining."""

    def __init__(self, port: int, timeout_s: float = 5.0) -> None:
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._rest = b""
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        except OSError as error:
            raise ContenderFailed(f"no connection: {error}") from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, request: Request) -> Answer:
        """Sends a request and reads its whole answer.

        Raises ContenderFailed when the deadline passes, the connection ends early, or
        the answer is not HTTP/1.1 with a Content-Length or chunks.
        """
        self._deadline = time.monotonic() + self._timeout_s
        try:
            self.socket.settimeout(self._timeout_s)
            self.socket.sendall(encode(request))
            return self.read_answer()
        except OSError as error:
            raise ContenderFailed(f"{request.method} {request.path}: {error}") from None

    def read_answer(self) -> Answer:
        """Reads one answer."""
        status, headers = parse_head(self._until(b"\r\n\r\n"))
        fields = dict(reversed(headers))
        if "chunked" in fields.get("transfer-encoding", "").lower():
            body = self._read_chunks()
        elif "content-length" in fields:
            body = self._exactly(int(fields["content-length"]))
        else:
            raise ContenderFailed("the answer has neither Content-Length nor chunks")
        return Answer(status, tuple(headers), body)

    def _read_chunks(self) -> bytes:
        pieces: list[bytes] = []
        while True:
            size = int(self._until(b"\r\n").partition(b";")[0], 16)
            if size == 0:
                while self._until(b"\r\n") != b"\r\n":
                    pass
                return b"".join(pieces)
            pieces.append(self._exactly(size))
            self._exactly(2)

    def _receive(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ContenderFailed(f"no whole answer within {self._timeout_s:g} s")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(_PIECE_BYTES)
        except TimeoutError:
            raise ContenderFailed(f"no whole answer within {self._timeout_s:g} s") from None
        except OSError as error:
            raise ContenderFailed(f"connection lost: {error}") from None
        if not data:
            raise ContenderFailed("the server closed the connection within an answer")
        return data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._rest += self._receive()
        end = self._rest.index(mark) + len(mark)
        piece, self._rest = self._rest[:end], self._rest[end:]
        return piece

    def _exactly(self, size: int) -> bytes:
        pieces = [self._rest]
        have = len(self._rest)
        while have < size:
            pieces.append(self._receive())
            have += len(pieces[-1])
        data = b"".join(pieces)
        self._rest = data[size:]
        return data[:size]


def parse_head(head: bytes) -> tuple[int, list[tuple[str, str]]]:
    """Status and fields of a response head that ends with an empty line.

    Raises ContenderFailed when it is not HTTP/1.1.
    """
    lines = head.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    if version != "HTTP/1.1" or not rest[:3].isdigit():
        raise ContenderFailed(f"not an HTTP/1.1 status line: {lines[0]!r}")
    headers = []
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
    return int(rest[:3]), headers


def ask(port: int, request: Request, timeout_s: float = 5.0) -> Answer:
    """One request on a connection of its own."""
    with Connection(port, timeout_s) as connection:
        return connection.ask(request)
