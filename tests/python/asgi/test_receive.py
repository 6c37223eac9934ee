"""The request's body and the end of the client, as receive() tells them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from asgi.serving import Serve
from asgi.wire import respond

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(length: int) -> bytes:
    """The head of a request with a body of that length."""
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


async def read_body(receive: Any) -> bytes:
    """All of a request's body."""
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        if not message["more_body"]:
            return body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body of the request."""
    await respond(send, await read_body(receive))


def test_no_body(serve: Serve) -> None:
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        messages.append(await receive())
        await respond(send)

    with serve(app).connect() as client:
        client.ask()
    assert messages == [{"type": "http.request", "body": b"", "more_body": False}]


def test_a_body_that_begins_with_one_byte(serve: Serve) -> None:
    """Bytes objects of one byte are shared by the interpreter, and must stay as they are."""
    with serve(echo).connect() as client:
        for first in (b"a", b"\0", b"\xff"):
            chunks = b"1\r\n" + first + b"\r\n4\r\nrest\r\n0\r\n\r\n"
            assert client.ask(CHUNKED + chunks).body == first + b"rest"
        assert client.ask(CHUNKED + b"1\r\na\r\n" * 300 + b"0\r\n\r\n").body == b"a" * 300
    assert bytes([97]) == b"a"


def test_a_body_that_came_with_the_head_is_one_message(serve: Serve) -> None:
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        messages.append(await receive())
        await respond(send)

    with serve(app).connect() as client:
        client.ask(post(5) + b"hello")
        client.ask(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    assert messages[0] == {"type": "http.request", "body": b"hello", "more_body": False}
    assert b"".join(message["body"] for message in messages[1:]) == b"hello"


def test_a_body_in_pieces(serve: Serve) -> None:
    got = threading.Semaphore(0)
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            messages.append(await receive())
            got.release()
            if not messages[-1]["more_body"]:
                break
        await respond(send)

    with serve(app).connect() as client:
        client.send(post(6))
        for piece in (b"ab", b"cd", b"ef"):
            client.send(piece)
            assert got.acquire(timeout=10)
        assert client.answer().status == 200
    assert [message["body"] for message in messages] == [b"ab", b"cd", b"ef"]
    assert [message["more_body"] for message in messages] == [True, True, False]


def test_the_application_starts_before_its_body_comes(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"early")

    with serve(app).connect() as client:
        client.send(post(3))
        assert client.answer().body == b"early"


def test_many_small_chunks(serve: Serve) -> None:
    pieces = [b"%d," % number for number in range(3000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    with serve(echo).connect() as client:
        assert client.ask(CHUNKED + chunks + b"0\r\n\r\n").body == b"".join(pieces)


def test_a_large_body(serve: Serve) -> None:
    body = bytes(range(256)) * 20_000
    with serve(echo).connect() as client:
        sender = threading.Thread(target=client.send, args=(post(len(body)) + body,))
        sender.start()
        answer = client.answer()
        sender.join()
    assert answer.body == body


def test_messages_are_bounded_and_a_slow_application_stops_the_socket(serve: Serve) -> None:
    sizes: list[int] = []
    go_on = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(None, go_on.wait)
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await respond(send)

    total = 32 * 1024 * 1024
    with serve(app).connect() as client:
        client.send(post(total))
        client.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < total:
                sent += client.socket.send(bytes(min(1 << 20, total - sent)))
        except TimeoutError:
            pass
        # What the kernel's buffers and the server's bound hold, not the whole body.
        assert sent < total // 2
        client.socket.settimeout(20)
        go_on.set()
        while sent < total:
            sent += client.socket.send(bytes(min(1 << 20, total - sent)))
        assert client.answer().status == 200
    assert sum(sizes) == total
    assert max(sizes) <= 512 * 1024


def test_100_continue_is_sent_when_the_body_is_wanted(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/refuse":
            await respond(send, b"no", status=403)
            return
        await echo(scope, receive, send)

    server = serve(app)
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n"
    with server.connect() as client:
        client.send(head % b"/")
        assert client.head()[0] == 100
        client.send(b"hello")
        assert client.answer().body == b"hello"
    with server.connect() as client:
        client.send(head % b"/refuse")
        assert client.answer().status == 403


def test_disconnect_after_the_response(serve: Serve) -> None:
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        messages.append(await receive())
        messages.append(await receive())

    server = serve(app)
    with server.connect() as client:
        client.ask()
    server.settle()
    assert messages == [{"type": "http.disconnect"}] * 2


def test_receive_waits_while_the_client_stays(serve: Serve) -> None:
    """Once the body is read, receive() answers when the client goes or the response ends."""
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        waiting = asyncio.create_task(receive())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        await respond(send)
        messages.append(await waiting)

    server = serve(app)
    with server.connect() as client:
        assert client.ask().status == 200
    server.settle()
    assert server.take_exception() is None
    assert messages == [{"type": "http.disconnect"}]


def wait_for_disconnect(serve: Serve, leave: Any, request: bytes) -> list[Any]:
    """What an application sees of a client that leaves by ``leave(connection)``."""
    messages: list[Any] = []
    waiting = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiting.set()
        while True:
            messages.append(await receive())
            if messages[-1]["type"] == "http.disconnect":
                return

    server = serve(app)
    with server.connect() as client:
        client.send(request)
        assert waiting.wait(10)
        leave(client)
        server.settle()
    assert server.take_exception() is None
    return messages


def test_a_client_that_closes(serve: Serve) -> None:
    messages = wait_for_disconnect(
        serve, lambda client: client.socket.close(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert messages[-1] == {"type": "http.disconnect"}


def test_a_client_that_resets(serve: Serve) -> None:
    messages = wait_for_disconnect(
        serve, lambda client: client.reset(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert messages[-1] == {"type": "http.disconnect"}


def test_a_half_closed_client_is_gone(serve: Serve) -> None:
    messages = wait_for_disconnect(
        serve, lambda client: client.socket.shutdown(1), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert messages == [
        {"type": "http.request", "body": b"", "more_body": False},
        {"type": "http.disconnect"},
    ]


def test_a_client_that_leaves_within_its_body(serve: Serve) -> None:
    messages = wait_for_disconnect(serve, lambda client: client.socket.close(), post(10) + b"abc")
    assert messages[-1] == {"type": "http.disconnect"}
    assert all(message.get("more_body", True) for message in messages)


def test_two_tasks_may_wait(serve: Serve) -> None:
    got: list[Any] = []
    called = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.set()
        await receive()
        got.extend(await asyncio.gather(receive(), receive()))

    server = serve(app)
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert called.wait(10)
    server.settle()
    assert got == [{"type": "http.disconnect"}] * 2


def test_a_cancelled_receive_loses_nothing(serve: Serve) -> None:
    cancelled = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            cancelled.set()
        await respond(send, await read_body(receive))

    with serve(app).connect() as client:
        client.send(CHUNKED)
        assert cancelled.wait(10)
        client.send(b"5\r\nhello\r\n0\r\n\r\n")
        assert client.answer().body == b"hello"


def test_pipelined_bodies(serve: Serve) -> None:
    with serve(echo).connect() as client:
        client.send(b"".join(post(4) + b"%04d" % number for number in range(100)))
        for number in range(100):
            assert client.answer().body == b"%04d" % number
