"""Objects of the application whose own code uses the exchange while it is being read."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from asgi.serving import Serve
from asgi.wire import GET, respond
from fasterapi.server import ClientDisconnected, ProtocolError

START = {"type": "http.response.start", "status": 200, "headers": []}
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"


class Falsy:
    """False, after a call."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def __bool__(self) -> bool:
        self.call()
        return False


def outcome(operation: Any) -> str:
    """How the only step of an operation ended."""
    try:
        operation.send(None)
    except StopIteration:
        return "done"
    except Exception as exc:
        return str(exc)
    return "waits"


def test_an_operation_closed_by_its_own_message(serve: Serve) -> None:
    results = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        def close() -> None:
            for use in (operation.close, lambda: operation.send(None)):
                with pytest.raises(ValueError, match="already executing"):
                    use()
            with pytest.raises(ValueError, match="already executing"):
                operation.throw(KeyError)
            gc.collect()
            results.append("refused")

        await send(START)
        message = {"type": "http.response.body", "more_body": Falsy(close), "body": b"x" * 1000}
        operation = send(message)
        del message
        results.append(outcome(operation))

    with serve(app).connect() as client:
        assert client.ask().body == b"x" * 1000
    assert results == ["refused", "done"]


def test_a_response_completed_by_its_own_message(serve: Serve) -> None:
    results = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inner = send({"type": "http.response.body", "body": b"inner"})
        body = {"type": "http.response.body", "body": b"outer"}
        await send(START)
        with pytest.raises(ProtocolError):
            await send({**body, "more_body": Falsy(lambda: results.append(outcome(inner)))})

    with serve(app).connect() as client:
        assert client.ask().body == b"inner"
    assert results == ["done"]


def test_a_response_started_by_its_own_headers(serve: Serve) -> None:
    results = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        def headers() -> Any:
            results.append(outcome(send(START)))
            yield (b"x", b"y")

        with pytest.raises(ProtocolError):
            await send({**START, "headers": headers()})
        results.append("raised")

    server = serve(app)
    with server.connect() as client, contextlib.suppress(EOFError):
        client.ask()
    server.settle()
    assert results == ["done", "raised"]


@pytest.mark.parametrize("stage", ["start", "headers", "body", "path", "hint"])
def test_a_server_closed_by_a_message(serve: Serve, stage: str) -> None:
    results = []

    class Closing(dict[str, Any]):
        """A message that is no plain dictionary and closes the server when it is read."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        native = asyncio.current_task().get_coro().server  # type: ignore[union-attr]

        class Message(Closing):
            def __getitem__(self, key: str) -> Any:
                if key == stage or (stage == "start" and key == "status"):
                    native.close()
                return super().__getitem__(key)

        messages = [Message({**START, "path": "/nowhere"})]
        if stage == "hint":
            links = (native.close() or b"</a>" for _ in range(1))
            messages = [Message({"type": "http.response.early_hint", "links": links})]
        elif stage == "headers":
            fields = (native.close() or (b"a", b"b") for _ in range(1))
            messages = [Message({**START, "headers": fields})]
        elif stage != "start":
            kind = "http.response.pathsend" if stage == "path" else "http.response.body"
            messages.append(Message({"type": kind, "path": "/nowhere", "body": b"x"}))
        with pytest.raises(ClientDisconnected):
            for message in messages:
                await send(message)
        results.append(await receive())

    server = serve(app)
    with server.connect() as client:
        client.send(GET)
        assert client.rest() == b""
    server.settle()
    assert results == [{"type": "http.disconnect"}]


def test_a_server_closed_by_a_call_that_its_body_began(serve: Serve) -> None:
    results = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asyncio.current_task().get_coro().server.close()  # type: ignore[union-attr]
        await receive()
        await asyncio.sleep(0.01)
        results.append(await receive())

    server = serve(app)
    with server.connect() as client:
        client.send(POST)
        assert client.rest() == b""
    server.settle()
    assert results == [{"type": "http.disconnect"}]


def test_an_operation_awaited_while_it_is_awaited(serve: Serve) -> None:
    results: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        operation = receive()

        async def wait() -> Any:
            return await operation

        first = asyncio.create_task(wait())
        second = asyncio.create_task(wait())
        await asyncio.wait([second])
        results.append(str(second.exception()))
        await respond(send)
        results.append(await first)

    server = serve(app)
    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
        assert client.answer().status == 200
    server.settle()
    assert results == ["coroutine is being awaited already", {"type": "http.disconnect"}]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ came with Python 3.12")
def test_a_header_that_drops_the_list_it_is_in(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        class Value:
            def __init__(self, owner: list[Any], value: bytes) -> None:
                self.owner, self.value = owner, value

            def __buffer__(self, flags: int) -> memoryview:
                value = self.value
                self.owner.clear()
                return memoryview(value)

        pair: list[Any] = []
        pair += [Value(pair, b"name"), b"value"]
        with pytest.raises(RuntimeError):
            await send({**START, "headers": [pair]})
        links: list[Any] = []
        links += [Value(links, b"</a>")]
        await send({"type": "http.response.early_hint", "links": links})
        await respond(send, b"ok")

    with serve(app).connect() as client:
        assert client.ask().status == 103
        assert client.answer().body == b"ok"
