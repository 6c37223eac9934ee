"""Responses: what goes over the wire, and how fast a slow client lets it."""

from __future__ import annotations

import array
import asyncio
import http
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

import pytest

from asgi.serving import Serve
from asgi.wire import GET, Application, respond

HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"


def sends(*messages: Any) -> Application:
    """An application that sends these messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """An http.response.start."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: Any = b"", more: bool = False) -> dict[str, Any]:
    """An http.response.body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def test_date_and_server_come_first(serve: Serve) -> None:
    with serve(
        sends(start(200, (b"x-a", b"1"), (b"content-length", b"2")), body(b"hi"))
    ).connect() as c:
        answer = c.ask()
    assert [name for name, _ in answer.headers] == [b"date", b"server", b"x-a", b"content-length"]
    assert answer.header(b"server") == b"fasterapi"
    date = answer.header(b"date")
    assert date is not None
    assert parsedate_to_datetime(date.decode()).tzinfo is not None
    assert answer.body == b"hi"


def test_date_and_server_can_be_left_out(serve: Serve) -> None:
    app = sends(start(200, (b"content-length", b"0")), body())
    with serve(app, server_header=False, date_header=False).connect() as client:
        assert client.ask().headers == [(b"content-length", b"0")]


def test_headers_of_the_configuration(serve: Serve) -> None:
    app = sends(start(200, (b"content-length", b"0")), body())
    headers = [("X-One", "1"), ("Server", "mine"), ("x-Two", "\xe9")]
    with serve(app, headers=headers, date_header=False).connect() as client:
        assert client.ask().headers == [
            (b"x-one", b"1"),
            (b"server", b"mine"),
            (b"x-two", b"\xe9"),
            (b"content-length", b"0"),
        ]


def test_headers_are_sent_as_given(serve: Serve) -> None:
    headers = [
        (b"X-Mixed-Case", b"Value"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-bytes", b"\xff\xe9"),
        (b"x-empty", b""),
        (b"x-tab", b"a\tb"),
        (b"content-length", b"0"),
    ]
    with serve(sends(start(200, *headers), body())).connect() as client:
        assert client.ask().headers[2:] == headers


def test_many_headers(serve: Serve) -> None:
    headers = [(b"x-%d" % number, b"v" * number) for number in range(150)]
    with serve(sends(start(200, *headers, (b"content-length", b"0")), body())).connect() as client:
        assert client.ask().headers[2:-1] == headers


def test_headers_may_be_any_iterable_of_buffers(serve: Serve) -> None:
    def headers() -> Iterator[Any]:
        yield [b"x-list", b"1"]
        yield iter((b"x-iterator", b"2"))
        yield bytearray(b"x-bytearray"), memoryview(b"3")
        yield b"content-length", b"0"

    message = {"type": "http.response.start", "status": 200, "headers": headers()}
    with serve(sends(message, body())).connect() as client:
        assert client.ask().headers[2:] == [
            (b"x-list", b"1"),
            (b"x-iterator", b"2"),
            (b"x-bytearray", b"3"),
            (b"content-length", b"0"),
        ]


def test_keys_that_may_be_absent(serve: Serve) -> None:
    app = sends({"type": "http.response.start", "status": 200}, {"type": "http.response.body"})
    with serve(app).connect() as client:
        answer = client.ask()
    assert answer.header(b"transfer-encoding") == b"chunked"
    assert answer.body == b""


def test_messages_may_be_any_mapping(serve: Serve) -> None:
    app = sends(
        MappingProxyType({"type": "http.response.start", "status": 201}),
        MappingProxyType({"type": "http.response.body", "body": b"x"}),
    )
    with serve(app).connect() as client:
        answer = client.ask()
    assert (answer.status, answer.body) == (201, b"x")


@pytest.mark.parametrize("status", [200, 201, 299, 302, 404, 418, 451, 500, 599])
def test_status(serve: Serve, status: int) -> None:
    with serve(sends(start(status, (b"content-length", b"0")), body())).connect() as client:
        answer = client.ask()
    phrases = {item.value: item.phrase for item in http.HTTPStatus}
    assert answer.status == status
    if status in (200, 201, 302, 404, 500):
        assert answer.reason == phrases[status]


def test_status_may_be_an_enum(serve: Serve) -> None:
    app = sends(start(http.HTTPStatus.ACCEPTED, (b"content-length", b"0")), body())
    with serve(app).connect() as client:
        assert client.ask().status == 202


def test_chunked_without_a_length(serve: Serve) -> None:
    app = sends(start(), body(b"one", True), body(b"", True), body(b"two", True), body())
    with serve(app).connect() as client:
        client.send(GET)
        _, _, headers = client.head()
        assert (b"transfer-encoding", b"chunked") in headers
        assert client.chunks() == [b"one", b"two"]


def test_http_1_0_ends_with_the_connection(serve: Serve) -> None:
    with serve(sends(start(), body(b"one", True), body(b"two"))).connect() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        _, _, headers = client.head()
        assert b"transfer-encoding" not in dict(headers)
        assert client.rest() == b"onetwo"


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)]
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_bodies_of_every_kind(serve: Serve, kind: Any, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    app = sends(start(200, (b"content-length", b"%d" % size)), body(kind(data)))
    with serve(app).connect() as client:
        assert client.ask().body == data


def test_a_body_may_be_changed_after_it_was_sent(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        data = bytearray(b"a" * 300_000)
        await send(start(200, (b"content-length", b"300000")))
        await send(body(data))
        data[:] = b"b" * len(data)

    with serve(app).connect() as client:
        assert client.ask().body == b"a" * 300_000


@pytest.mark.parametrize(
    ("status", "headers", "data"),
    [
        (200, [(b"content-length", b"5")], b"hello"),
        (200, [(b"content-length", b"5")], b""),
        (200, [], b"hello"),
        (404, [(b"content-length", b"100000")], b"x" * 100_000),
    ],
)
def test_head_has_no_body(
    serve: Serve, status: int, headers: list[tuple[bytes, bytes]], data: bytes
) -> None:
    server = serve(sends(start(status, *headers), body(data)))
    with server.connect() as client:
        answer = client.ask(HEAD)
        assert answer.status == status
        assert answer.header(b"content-length") == dict(headers).get(b"content-length")
        # The connection goes on, and no byte of a body came between.
        assert client.ask(HEAD).status == status
    server.settle()
    assert server.take_exception() is None


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(serve: Serve, status: int) -> None:
    server = serve(sends(start(status), body()))
    with server.connect() as client:
        assert client.ask().header(b"transfer-encoding") is None
        assert client.ask().status == status
    server.settle()
    assert server.take_exception() is None


def test_304_may_announce_the_length_it_would_have(serve: Serve) -> None:
    server = serve(sends(start(304, (b"content-length", b"1000")), body()))
    with server.connect() as client:
        assert client.ask().status == 304
        assert client.ask().status == 304
    server.settle()
    assert server.take_exception() is None


def test_the_application_closes_the_connection(serve: Serve) -> None:
    app = sends(start(200, (b"connection", b"close"), (b"content-length", b"2")), body(b"hi"))
    with serve(app).connect() as client:
        assert client.ask().body == b"hi"
        assert client.closed()


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        number = int(scope["query_string"])
        if number % 3 == 0:
            await asyncio.sleep(0.001)
        await respond(send, b"%d" % number)

    with serve(app).connect() as client:
        client.send(
            b"".join(b"GET /?%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(200))
        )
        assert [client.answer().body for _ in range(200)] == [b"%d" % n for n in range(200)]


def test_a_streamed_response_goes_out_piece_by_piece(serve: Serve) -> None:
    go_on = threading.Semaphore(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for _ in range(3):
            await send(body(b"tick", True))
            await asyncio.get_running_loop().run_in_executor(None, go_on.acquire)
        await send(body())

    with serve(app).connect() as client:
        client.send(GET)
        client.head()
        for _ in range(3):
            assert client.line() == b"4"
            assert client.take(6) == b"tick\r\n"
            go_on.release()
        assert client.chunks() == []


def test_a_slow_client_slows_the_application(serve: Serve) -> None:
    sent = 0
    piece = bytes(65536)
    total = 512  # 32 MiB

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(start(200, (b"content-length", b"%d" % (total * len(piece)))))
        for number in range(total):
            await send(body(piece, number < total - 1))
            sent += 1

    server = serve(app)
    with server.connect(receive_buffer=65536) as client:
        client.send(GET)
        client.head()
        before = -1
        while sent != before:  # until it stands still
            before = sent
            threading.Event().wait(0.2)
        assert 0 < sent < total // 2
        assert len(client.take(total * len(piece))) == total * len(piece)
    server.settle()
    assert sent == total
    assert server.take_exception() is None


def test_a_small_response_does_not_suspend(serve: Serve) -> None:
    """send() and receive() go through without a turn of the loop where they can."""
    turns = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asyncio.get_running_loop().call_soon(turns.append, "turn")
        await receive()
        await send(start())
        await send(body(b"x", True))
        await send(body(b"y"))
        turns.append("done")

    server = serve(app)
    with server.connect() as client:
        client.ask()
    server.settle()
    assert turns == ["done", "turn"]


def test_send_by_keyword(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(message=start(200, (b"content-length", b"0")))
        await send(message=body())

    with serve(app).connect() as client:
        assert client.ask().status == 200
