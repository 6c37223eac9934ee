"""Clients that shut their side and go on reading. As under uvicorn what is answered at once is
answered, and a client that waits for more has disconnected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fasterapi.testing import LiveServer
from fault.peer import Peer
from fault.victim import Event, count, echo_path, piece, read_all, start

Serve = Callable[..., LiveServer]

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /x HT", GET[:-2], POST[:-2]])
def test_before_a_request_is_complete(serve: Serve, sent: bytes) -> None:
    server = serve(echo_path)
    with Peer(server.port) as peer:
        peer.send(sent)
        peer.half_close()
        assert peer.rest() == b""


def test_behind_a_request(serve: Serve) -> None:
    server = serve(echo_path)
    with Peer(server.port) as peer:
        peer.send(GET)
        peer.half_close()
        assert peer.answer().body == b"/x"
        assert peer.rest() == b""


def test_behind_many_requests(serve: Serve) -> None:
    server = serve(echo_path)
    with Peer(server.port) as peer:
        peer.send(GET * 1000)
        peer.half_close()
        for _ in range(1000):
            assert peer.answer().body == b"/x"
        assert peer.rest() == b""


def test_behind_a_body(serve: Serve) -> None:
    server = serve(count)
    with Peer(server.port) as peer:
        peer.send(POST + b"12345")
        peer.half_close()
        assert peer.answer().body == b"5"


def test_within_a_body(serve: Serve) -> None:
    """The rest cannot come: the application hears it, and no length is made up."""
    totals = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        totals.append(await read_all(receive))

    server = serve(app)
    with Peer(server.port) as peer:
        peer.send(POST + b"123")
        peer.half_close()
        assert peer.rest() == b""
    assert totals == [None]


def test_while_a_stream_is_sent(serve: Serve) -> None:
    reached, ended = Event(), Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send)
        await piece(send, b"first")
        reached.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    server = serve(app)
    with Peer(server.port) as peer:
        peer.send(GET)
        reached.wait()
        peer.half_close()
        ended.wait()
        assert b"first" in peer.rest()
