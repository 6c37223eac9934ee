"""Clients that vanish (RST) at every point of an exchange, with every kind of handler."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from fasterapi.testing import LiveServer
from fault.peer import Peer
from fault.victim import PATIENCE_S, Application, Event, answer, echo_path, piece, read_all, start

Serve = Callable[..., LiveServer]

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"

# What the client has sent when it vanishes.
SENT = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "half a line": b"GET /x HT",
    "half a head": b"GET /x HTTP/1.1\r\nHost: a\r\nX-Hal",
    "a head without its body": HEAD,
    "half a body": HEAD + b"a" * 100000,
    "half a chunk size": CHUNKED + b"1",
    "half a chunk": CHUNKED + b"ff\r\nabc",
    "a whole request": GET,
    "a whole request with a body": HEAD + b"a" * 200000,
    "a whole chunked request": CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    "one and a half requests": GET + b"GET /y HT",
    "many requests": GET * 50,
    "something broken": b"\x00\x01\x02",
}


def _fastapi() -> FastAPI:
    app = FastAPI()

    @app.api_route("/{path}", methods=["GET", "POST"])
    def sync(path: str) -> dict[str, str]:
        return {"path": path}

    @app.post("/body/{path}")
    async def body(path: str, request: Request) -> dict[str, int]:
        return {"length": len(await request.body())}

    return app


async def _reading(scope: Any, receive: Any, send: Any) -> None:
    total = await read_all(receive)
    await answer(send, str(total).encode())


async def _streaming(scope: Any, receive: Any, send: Any) -> None:
    await start(send)
    for _ in range(40):
        await piece(send, bytes(65536))
        await asyncio.sleep(0)
    await piece(send, b"", more=False)


async def _waiting(scope: Any, receive: Any, send: Any) -> None:
    """Until the client is gone, which is the only thing that ends it."""
    await read_all(receive)
    message = await receive()
    assert message["type"] == "http.disconnect"


HANDLERS: dict[str, Callable[[], Application]] = {
    "async": lambda: echo_path,
    "reading": lambda: _reading,
    "streaming": lambda: _streaming,
    "waiting": lambda: _waiting,
    "fastapi def": _fastapi,
}


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("sent", SENT)
def test_while_sending(serve: Serve, handler: str, sent: str) -> None:
    server = serve(HANDLERS[handler]())
    for _ in range(5):
        peer = Peer(server.port)
        peer.try_send(SENT[sent])
        peer.reset()


@pytest.mark.parametrize("handler", ["async", "reading", "streaming", "fastapi def"])
@pytest.mark.parametrize("read", [1, 20, 5000])
def test_while_reading(serve: Serve, handler: str, read: int) -> None:
    server = serve(HANDLERS[handler]())
    for _ in range(5):
        peer = Peer(server.port)
        peer.send(GET * 100)
        peer.exactly(read)
        peer.reset()


def test_while_a_function_runs_in_a_thread(serve: Serve) -> None:
    """It cannot be stopped; its answer goes nowhere, and its thread is free afterwards."""
    app = FastAPI()
    reached, free = Event(), threading.Event()

    @app.get("/slow")
    def slow() -> str:
        reached.set()
        assert free.wait(PATIENCE_S)
        return "late"

    server = serve(app)
    peer = Peer(server.port)
    peer.request("/slow")
    reached.wait()
    peer.reset()
    with Peer(server.port) as other:  # the reset has been seen by the time this is answered
        other.request("/alive")
        assert other.answer().status == 200
    free.set()
    server.settle()
    assert isinstance(server.take_exception(), OSError)


def test_while_receive_is_pending(serve: Serve) -> None:
    reached, seen = Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["type"])
        reached.set()
        seen.append((await receive())["type"])
        # And it says so for ever.
        seen.append((await receive())["type"])
        with pytest.raises(OSError):
            await answer(send, b"nobody")

    server = serve(app)
    peer = Peer(server.port)
    peer.send(HEAD + b"a")
    reached.wait()
    peer.reset()
    server.settle()
    assert server.take_exception() is None
    assert seen == ["http.request", "http.disconnect", "http.disconnect"]


def test_while_several_wait(serve: Serve) -> None:
    """Every pending receive() and send() of the exchange ends."""
    reached, outcome = Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send)

        async def flood() -> str:
            while True:
                await piece(send, bytes(262144))

        async def gone() -> str:
            while (message := await receive())["type"] != "http.disconnect":
                pass
            return str(message["type"])

        tasks = [asyncio.ensure_future(work()) for work in (flood, gone, gone)]
        await asyncio.sleep(0)
        reached.set()
        outcome.extend(
            done if isinstance(done, str) else type(done)
            for done in await asyncio.gather(*tasks, return_exceptions=True)
        )

    server = serve(app)
    peer = Peer(server.port, receive_buffer=4096)
    peer.request("/")
    peer.head()
    reached.wait()
    peer.reset()
    server.settle()
    assert outcome[1:] == ["http.disconnect", "http.disconnect"]
    assert issubclass(outcome[0], OSError)


def test_in_the_middle_of_a_stream_the_generator_is_closed(serve: Serve) -> None:
    app = FastAPI()
    closed = Event()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> Any:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                closed.set()

        return StreamingResponse(pieces())

    server = serve(app)
    peer = Peer(server.port)
    peer.request("/stream")
    peer.exactly(200000)
    peer.reset()
    server.settle()
    server.take_exception()  # its traceback holds the generator
    closed.wait()


def test_in_the_middle_of_a_stream_made_by_a_thread(serve: Serve) -> None:
    app = FastAPI()
    taken = 0

    @app.get("/stream")
    def stream() -> StreamingResponse:
        def pieces() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(10000):
                taken += 1
                yield b"x" * 65536

        return StreamingResponse(pieces())

    server = serve(app)
    peer = Peer(server.port)
    peer.request("/stream")
    peer.exactly(200000)
    peer.reset()
    server.settle()
    assert taken < 10000


def test_a_thousand_connections(serve: Serve) -> None:
    """Opened and reset, some with a request on its way."""
    server = serve(echo_path)
    for i in range(1000):
        peer = Peer(server.port)
        if i % 3:
            peer.try_send(GET[: 10 * (i % 4)])
        peer.reset()
    assert server.server.stats()["accepted"] <= 1000


def test_a_crowd_at_once(serve: Serve) -> None:
    server = serve(_waiting)
    peers = [Peer(server.port) for _ in range(300)]
    for peer in peers:
        peer.send(GET)
    for peer in peers:
        peer.reset()
