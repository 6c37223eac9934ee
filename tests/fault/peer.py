"""A client that does what well-meaning clients do not: half a message, a reset, no reading."""

from __future__ import annotations

import ctypes
import resource
import select
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

TIMEOUT_S = 15.0


@dataclass
class Answer:
    """One response as it came off the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Closed(Exception):
    """The server closed, or reset, the connection before the answer was complete."""


class Peer:
    """One TCP connection; ``receive_buffer`` bytes make it a reader that is soon full."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(TIMEOUT_S)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.sock.connect(("127.0.0.1", port))
        except BaseException:
            self.sock.close()
            raise
        self.got = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.sock.close()

    # ---- sending ---------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Everything, however long it takes."""
        self.sock.sendall(data)

    def try_send(self, data: bytes) -> bool:
        """As ``send``; False where the server has closed already."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def request(self, path: str, *, body: bytes | None = None, fields: str = "") -> None:
        """A well-formed request."""
        method = "GET" if body is None else "POST"
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\n{length}{fields}\r\n"
        self.send(head.encode() + (body or b""))

    def trickle(self, data: bytes, every_s: float) -> int:
        """Byte by byte, until it is all sent or the server says something; bytes sent."""
        for sent in range(len(data)):
            if self.readable(every_s) or not self.try_send(data[sent : sent + 1]):
                return sent
        return len(data)

    # ---- reading -----------------------------------------------------------------------------

    def readable(self, timeout_s: float) -> bool:
        """Whether bytes, or the end, came within that time."""
        return bool(select.select([self.sock], [], [], timeout_s)[0])

    def more(self) -> bool:
        """Read once; False at the end."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            return False
        self.got += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with ``mark``."""
        while mark not in self.got:
            if not self.more():
                raise Closed(self.got)
        at = self.got.index(mark) + len(mark)
        taken, self.got = self.got[:at], self.got[at:]
        return taken

    def exactly(self, count: int) -> bytes:
        """That many bytes."""
        while len(self.got) < count:
            if not self.more():
                raise Closed(self.got)
        taken, self.got = self.got[:count], self.got[count:]
        return taken

    def head(self) -> Answer:
        """The head of the next response."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = (line.split(": ", 1) for line in lines[1:-2])
        return Answer(int(lines[0].split(" ")[1]), {k.lower(): v for k, v in fields}, b"")

    def answer(self) -> Answer:
        """The next response, whole."""
        answer = self.head()
        if "transfer-encoding" in answer.headers:
            while size := int(self.until(b"\r\n"), 16):
                answer.body += self.exactly(size)
                self.exactly(2)
            self.exactly(2)
        else:
            answer.body = self.exactly(int(answer.headers["content-length"]))
        return answer

    def rest(self) -> bytes:
        """Everything up to the server's close, or reset."""
        while self.more():
            pass
        rest, self.got = self.got, b""
        return rest

    # ---- leaving -----------------------------------------------------------------------------

    def half_close(self) -> None:
        """No more requests; answers are still read."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish: the kernel sends RST, whatever is on its way."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def ask(port: int, path: str = "/alive") -> Answer:
    """A good client's request on a connection of its own."""
    with Peer(port) as peer:
        peer.request(path)
        return peer.answer()


# AddressSanitizer keeps what is freed for a while, so that memory is never flat under it.
_KEEPS_FREED = hasattr(ctypes.CDLL(None), "__asan_init")


def resident_bytes() -> int:
    """What this process, client and server, has in memory now; 0 where that says nothing."""
    if _KEEPS_FREED:
        return 0
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
