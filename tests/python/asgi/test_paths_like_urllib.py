"""The decoded path of a scope is what ``urllib.parse.unquote`` makes of the raw one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasterapi.testing import LiveServer

# What a request target may hold besides percent-encodings; '?' and '#' end a path.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "?#%")
_piece = st.one_of(
    st.text(_PLAIN, max_size=8),
    st.binary(max_size=4).map(lambda data: "".join(f"%{byte:02x}" for byte in data)),
    st.sampled_from(
        ["%", "%4", "%zz", "%C3%A9", "%c3", "%ED%A0%80", "%00", "%2F", "%2f", "+", "%%"]
    ),
)


async def _tell(scope: Any, receive: Any, send: Any) -> None:
    told = [scope["path"], scope["raw_path"].decode("latin-1"), scope["query_string"].decode()]
    body = json.dumps(told).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def client() -> Iterator[socket.socket]:
    with (
        LiveServer(_tell, lifespan="off") as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as sock,
    ):
        yield sock


def _ask(sock: socket.socket, target: str) -> list[str]:
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)
    told: list[str] = json.loads(body)
    return told


@settings(max_examples=400, deadline=None)
@given(st.lists(_piece, max_size=6).map("".join), st.text(_PLAIN + "?%", max_size=12))
def test_any_target(client: socket.socket, path: str, query: str) -> None:
    raw = "/" + path
    assert _ask(client, f"{raw}?{query}") == [unquote(raw), raw, query]
