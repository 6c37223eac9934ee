"""Applications that fail at every stage, beside clients that are well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI

from fasterapi.testing import LiveServer
from fault.peer import Closed, Peer
from fault.victim import Event, answer, echo_path, piece, read_all, start

Serve = Callable[..., LiveServer]


class Failure(Exception):
    """Raised by the applications here."""


class Failing:
    """Goes ``stages`` far and raises."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def at(self, stage: str) -> None:
        if stage == self.stage:
            raise Failure(stage)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/well":
            await answer(send, b"well")
            return
        self.at("begin")
        await asyncio.sleep(0)
        self.at("suspended")
        message = await receive()
        self.at("receive")
        if message.get("more_body", False):
            await read_all(receive)
        self.at("body")
        await start(send)
        self.at("start")
        await piece(send, b"one")
        self.at("piece")
        await asyncio.sleep(0)
        await piece(send, b"two")
        self.at("two pieces")
        await piece(send, b"", more=False)
        self.at("end")
        await asyncio.sleep(0)
        self.at("after")


@pytest.mark.parametrize("stage", ["begin", "suspended", "receive", "body"])
def test_raising_before_the_response(serve: Serve, stage: str) -> None:
    server = serve(Failing(stage))
    with Peer(server.port) as peer:
        peer.request("/x", body=b"a" * 100000)
        assert peer.answer().status == 500
        server.settle()
        assert isinstance(server.take_exception(), Failure)


@pytest.mark.parametrize("stage", ["start", "piece", "two pieces"])
def test_raising_within_the_response(serve: Serve, stage: str) -> None:
    """The client must see that the answer is not whole."""
    server = serve(Failing(stage))
    with Peer(server.port) as peer:
        peer.request("/x")
        with pytest.raises(Closed):
            peer.answer()
        server.settle()
        assert isinstance(server.take_exception(), Failure)


@pytest.mark.parametrize("stage", ["end", "after"])
def test_raising_behind_the_response(serve: Serve, stage: str) -> None:
    """The client has its answer and keeps its connection."""
    server = serve(Failing(stage))
    with Peer(server.port) as peer:
        peer.request("/x")
        assert peer.answer().body == b"onetwo"
        server.settle()
        assert isinstance(server.take_exception(), Failure)
        peer.request("/well")
        assert peer.answer().body == b"well"


@pytest.mark.parametrize("size", [10, 60_000, 10_000_000])
@pytest.mark.parametrize("expect", [False, True], ids=["", "expect"])
def test_never_reading(serve: Serve, size: int, expect: bool) -> None:
    """Answered without the body; the connection goes on or ends, and is never out of step."""
    server = serve(echo_path)
    with Peer(server.port) as peer:
        fields = f"Content-Length: {size}\r\n" + "Expect: 100-continue\r\n" * expect
        peer.send(f"POST /first HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        if expect:  # a client that waits is not told to go on, and sends nothing
            first = peer.answer()
            assert first.headers["connection"] == "close"
            assert peer.rest() == b""
            return
        body = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n".ljust(size, b"x")[:size]
        whole = peer.try_send(body)
        first = peer.answer()
        assert (first.status, first.body) == (200, b"/first")
        if not whole or not peer.try_send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"):
            return
        try:
            assert peer.answer().body == b"/second"
        except Closed:
            assert size > 65536
        else:
            assert size <= 65536


def test_answering_before_the_body_is_there(serve: Serve) -> None:
    """The rest of the body belongs to the request that is answered, not to the next."""
    server = serve(echo_path)
    with Peer(server.port) as peer:
        body = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
        peer.send(b"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert peer.answer().body == b"/first"
        peer.send(body)
        peer.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.answer().body == b"/second"


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"type": "http.response.body", "body": b"x"}], id="body first"),
        pytest.param([{"type": "nonsense"}], id="an unknown message"),
        pytest.param(["nonsense"], id="no message"),
        pytest.param([{"type": "http.response.start", "status": 1000}], id="no status"),
        pytest.param(
            [{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]}],
            id="splitting",
        ),
        pytest.param(
            [{"type": "http.response.start", "status": 200, "headers": [(b"a\n", b"b")]}],
            id="splitting by name",
        ),
        pytest.param([], id="nothing"),
    ],
)
def test_breaking_the_protocol_before_the_response(serve: Serve, messages: list[Any]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    server = serve(app)
    with Peer(server.port) as peer:
        peer.request("/")
        answered = peer.answer()
        assert answered.status == 500
        assert "c" not in answered.headers


@pytest.mark.parametrize(
    ("length", "body", "more"),
    [(5, b"too long", False), (5, b"few", False), (5, b"too long", True)],
)
def test_a_wrong_length(serve: Serve, length: int, body: bytes, more: bool) -> None:
    """No byte behind the announced length, which the client would read as the next answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await piece(send, body, more=more)

    server = serve(app)
    with Peer(server.port) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        peer.head()
        assert len(peer.rest()) < length


def test_background_tasks_of_a_client_that_is_gone(serve: Serve) -> None:
    app = FastAPI()
    begun, finished = Event(), Event()

    async def background() -> None:
        begun.set()
        for _ in range(100):
            await asyncio.sleep(0)
        finished.set()

    @app.get("/task")
    async def task(tasks: BackgroundTasks) -> str:
        tasks.add_task(background)
        return "begun"

    server = serve(app)
    peer = Peer(server.port)
    peer.request("/task")
    begun.wait()
    peer.reset()
    server.settle()
    assert finished.is_set()


def test_using_the_channels_after_the_call(serve: Serve) -> None:
    kept: list[Any] = []
    outcome: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/keep":
            kept.extend([receive, send])
            await answer(send, b"kept")
            return
        old_receive, old_send = kept
        kept.clear()
        outcome.append((await old_receive())["type"])
        try:
            await old_send({"type": "http.response.body", "body": b"late"})
        except (OSError, RuntimeError) as failure:
            outcome.append(type(failure))
        await answer(send, b"mine")

    server = serve(app)
    with Peer(server.port) as peer:
        peer.request("/keep")
        assert peer.answer().body == b"kept"
        peer.request("/late")
        assert peer.answer().body == b"mine"
    assert outcome[0] == "http.disconnect"
