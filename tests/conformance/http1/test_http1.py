"""The grammar and framing rules of HTTP/1.1 over a real socket, as data.

Each ``*.toml`` file here holds cases:

``send``    the bytes of the client (as Latin-1), in one write, then again one by one
``then``    more bytes, sent once the first answer (an interim one) is there
``repeat``  how often ``send`` is repeated; ``@`` in it becomes the number
``expect``  status codes of the answers in order; a list in the list names alternatives
``bodies``  their bodies
``close``   whether the server closes afterwards; an error answer always must
``head``    the answers carry no body, whatever they announce

After a case that leaves the connection open another request is sent on it and must be answered: a
server that reads a message differently from its client would fail there.
"""

from __future__ import annotations

import http.client
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fasterapi.testing import LiveServer

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(Path(__file__).parent.glob("*.toml"))
    for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"]
]
TIMEOUT_S = 10.0


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it understood: method, raw path, body; or one header's value."""
    if scope["type"] == "lifespan":
        return
    path = scope["raw_path"].decode("latin-1")
    if path == "/unread":
        text = b"unread"
    else:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        text = f"{scope['method']} {path} ".encode("latin-1") + body
    if path.startswith("/header/"):
        name = path.removeprefix("/header/").encode()
        values = [value for key, value in scope["headers"] if key == name]
        text = b"[" + b"|".join(values) + b"]"
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with LiveServer(application, lifespan="off") as running:
        yield running


class Answers:
    """Reads answers from a socket with the standard library's parser."""

    def __init__(self, sock: socket.socket) -> None:
        self.file = sock.makefile("rb")

    def read(self, *, head: bool) -> tuple[int, bytes]:
        line = self.file.readline()
        assert line.endswith(b"\r\n"), f"no complete status line: {line!r}"
        version, status, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1"
        fields = http.client.parse_headers(self.file)  # type: ignore[arg-type]
        code = int(status)
        if head or code < 200:
            return code, b""
        assert fields["transfer-encoding"] is None
        return code, self.file.read(int(fields["content-length"]))

    def at_end(self) -> bool:
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


def _bytes(case: dict[str, Any]) -> bytes:
    count = case.get("repeat", 1)
    text = "".join(case["send"].replace("@", str(i)) for i in range(count))
    return text.encode("latin-1") if count > 1 else case["send"].encode("latin-1")


def _expected(case: dict[str, Any]) -> list[list[int]]:
    codes = [code if isinstance(code, list) else [code] for code in case["expect"]]
    return codes * case.get("repeat", 1)


def _check(case: dict[str, Any], sock: socket.socket) -> None:
    answers = Answers(sock)
    codes = _expected(case)
    bodies = case.get("bodies")
    last = 0
    for index, allowed in enumerate(codes):
        last, body = answers.read(head=case.get("head", False))
        assert last in allowed
        if bodies is not None and index < len(bodies):
            assert body.decode("latin-1") == bodies[index]
        if index == 0 and "then" in case:
            sock.sendall(case["then"].encode("latin-1"))
    if case.get("close", last >= 400 and last not in (404, 501)):
        assert answers.at_end(), "the connection stayed open"
    elif last < 400:
        sock.sendall(b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answers.read(head=False) == (200, b"GET /again ")


@pytest.mark.parametrize("case", CASES)
def test_in_one_piece(case: dict[str, Any], server: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as sock:
        sock.sendall(_bytes(case))
        _check(case, sock)


@pytest.mark.parametrize("case", CASES)
def test_byte_by_byte(case: dict[str, Any], server: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in _bytes(case):
            try:
                sock.send(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                break  # refused before the end; the answer is checked below
        _check(case, sock)
