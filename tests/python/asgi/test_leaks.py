"""Ten thousand requests leave nothing behind, however they end."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import weakref
from collections import Counter
from typing import Any

import pytest

from asgi.serving import Live, Serve
from asgi.wire import GET, respond
from sanitized import SANITIZED

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
DEPTH = 50  # requests that are sent at once
# More than what the assertions below allow to grow, if each request left one thing.
MANY = 2500 if SANITIZED else 10_000


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await respond(send, b"x")


async def suspended(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0)
    await asyncio.gather(receive(), asyncio.sleep(0))
    await respond(send, b"x")
    await asyncio.sleep(0)


async def cyclic(scope: Any, receive: Any, send: Any) -> None:
    scope["receive"], scope["send"], scope["scope"] = receive, send, scope
    await asyncio.sleep(0)
    await respond(send, b"x")


async def background(scope: Any, receive: Any, send: Any) -> None:
    await respond(send, b"x")
    assert (await receive())["type"] == "http.disconnect"
    await asyncio.sleep(0)


async def waiting(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    task = asyncio.create_task(receive())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await respond(send, b"x")


async def protocol_error(scope: Any, receive: Any, send: Any) -> None:
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"\n")]})
    except RuntimeError:
        await respond(send, b"x")


async def raising(scope: Any, receive: Any, send: Any) -> None:
    await respond(send, b"x")
    raise ValueError("broken")


def ask_many(server: Live, count: int, request: bytes) -> None:
    """That many requests over a few connections, pipelined."""
    asked = 0
    while asked < count:
        with server.connect() as client:
            for _ in range(10):
                client.send(request * DEPTH)
                for _ in range(DEPTH):
                    assert client.answer().status == 200
                asked += DEPTH
    server.settle()
    server.take_exception()


def census() -> Counter[str]:
    """How many objects of each type the collector knows."""
    gc.collect()
    return Counter(type(thing).__qualname__ for thing in gc.get_objects())


@pytest.mark.parametrize(
    "app",
    [plain, suspended, cyclic, background, waiting, protocol_error, raising],
    ids=lambda app: app.__name__,
)
@pytest.mark.parametrize("request_bytes", [GET, POST], ids=["get", "post"])
def test_nothing_stays(
    serve: Serve, app: Any, request_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest would keep the records of the log.
    monkeypatch.setattr(logging.getLogger("fasterapi"), "disabled", True)
    server = serve(app)
    ask_many(server, 1000, request_bytes)
    before, blocks = census(), sys.getallocatedblocks()
    ask_many(server, MANY, request_bytes)
    after = census()
    grown = {name: count - before[name] for name, count in after.items()}
    # The census itself makes a few; one object for each request would be thousands.
    assert all(more < 100 for more in grown.values()), grown
    assert sys.getallocatedblocks() - blocks < 2000


def test_clients_that_leave(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("fasterapi"), "disabled", True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await respond(send, b"late")

    server = serve(app)

    def leave(count: int) -> None:
        for number in range(count):
            with server.connect() as client:
                client.send(GET if number % 2 else POST[:-2])
                if number % 3 == 0:
                    client.reset()
        server.settle()

    leave(100)
    before = census()
    leave(1000)
    grown = {name: count - before[name] for name, count in census().items()}
    assert all(more < 100 for more in grown.values()), grown


def test_the_objects_of_a_request_die_with_it(serve: Serve) -> None:
    class Token:
        pass

    tokens: list[weakref.ref[Token]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        token = Token()
        tokens.append(weakref.ref(token))
        scope["token"] = token
        await receive()
        await asyncio.sleep(0)
        await respond(send, b"x")

    server = serve(app)
    gc.collect()
    gc.disable()
    try:
        with server.connect() as client:
            for _ in range(10):
                client.ask()
        server.settle()
        # By reference counts alone: no cycle is left for the collector.
        assert [token() for token in tokens[:-1]] == [None] * 9
    finally:
        gc.enable()


def test_a_kept_receive_does_not_keep_the_scope(serve: Serve) -> None:
    class Token:
        pass

    tokens: list[weakref.ref[Token]] = []
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        token = Token()
        tokens.append(weakref.ref(token))
        scope["token"] = token
        kept.append((receive, send))
        await respond(send, b"x")

    server = serve(app)
    with server.connect() as client:
        client.ask()
        client.ask()
    server.settle()
    gc.collect()
    assert [token() for token in tokens] == [None, None]
