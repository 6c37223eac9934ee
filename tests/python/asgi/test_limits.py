"""A limit that is exceeded: the answer, the line in the log, the counter; and no flood of lines."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from asgi.serving import Live, Serve
from asgi.wire import GET, Connection, respond
from fasterapi._flood import Flood

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
LIMIT_S = 0.1
PATIENCE_S = 20.0

SENTENCES = {
    "request_line": "answered 414: request line too long",
    "header": "answered 431: header section too large",
    "body": "answered 413: request body too large",
    "header_timeout": "answered 408: the header section was not complete within the time limit",
    "body_timeout": "answered 408: no byte of the request body came within the time limit",
    "body_rate": "answered 408: the request body came below the minimum rate",
    "write_timeout": "connection closed: the client took no byte of its answer within the",
    "connections": "answered 503: the limit on connections is reached",
    "in_flight": "Exceeded concurrency limit. (127.0.0.1:",
}


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Waits for the disconnect, answers much, or answers when it has the body."""
    if scope["path"] == "/early":
        await respond(send, b"early")
        return
    if scope["path"] == "/big":
        await respond(send, bytes(32 << 20))
        return
    while (message := await receive()).get("more_body") or (
        scope["path"] == "/hang" and message["type"] != "http.disconnect"
    ):
        pass
    await respond(send, b"fits")


def wait_for(reached: Callable[[], bool]) -> None:
    """Until it is so; there is no event for what the server counts."""
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def counters(server: Live) -> dict[str, int]:
    """How often each limit was exceeded, where it was."""
    stats = server.server.stats()
    found = {name.removeprefix("exceeded_"): count for name, count in stats.items()}
    return {name: found[name] for name in SENTENCES if found[name]}


def asks(request: bytes) -> Callable[[Live], int]:
    """The status of the answer to that request."""

    def ask(server: Live) -> int:
        with server.connect() as client:
            return client.ask(request).status

    return ask


def trickles(server: Live) -> int:
    """A body whose bytes come in time, but too few of them."""
    with server.connect() as client:
        client.send(POST + b"Content-Length: 1000000\r\n\r\n")
        client.socket.settimeout(0.02)
        for _ in range(1000):
            client.send(b"x")
            try:
                status = client.answer().status
            except TimeoutError:
                continue
            return status
    raise AssertionError("nothing came")


def one_too_many(server: Live) -> int:
    """While a first request is in flight, on a connection of its own."""
    with server.connect() as first:
        first.send(GET.replace(b"/ ", b"/hang "))
        wait_for(lambda: server.server.stats()["requests_in_flight"] == 1)
        with server.connect() as client:
            client.send(GET)
            status = client.answer().status
    wait_for(lambda: server.server.stats()["connections"] == 0)
    return status


def does_not_read(server: Live) -> int:
    """An answer begins to come; nobody takes the rest of it."""
    with server.connect(receive_buffer=4096) as client:
        client.send(GET.replace(b"/ ", b"/big "))
        wait_for(lambda: bool(counters(server)))
        return 0


def leaves_a_body_out(server: Live) -> int:
    """The answer is there before the body, which never comes: no second answer."""
    with server.connect() as client:
        client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        assert client.answer().body == b"early"
        assert client.closed()
        return 0


@pytest.mark.parametrize(
    ("limit", "options", "status", "exceed"),
    [
        (
            "request_line",
            {"limit_request_line": 100},
            414,
            asks(b"GET /" + b"x" * 100 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        ),
        (
            "header",
            {"limit_header_bytes": 300},
            431,
            asks(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 300 + b"\r\n\r\n"),
        ),
        (
            "header",
            {"limit_header_fields": 2},
            431,
            asks(b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n\r\n"),
        ),
        ("body", {"limit_body": 10}, 413, asks(POST + b"Content-Length: 11\r\n\r\n")),
        ("body", {"limit_body": 10}, 413, asks(POST + b"Transfer-Encoding: chunked\r\n\r\nb\r\n")),
        ("header_timeout", {"timeout_header": LIMIT_S}, 408, asks(b"GET / HTTP/1.1\r\n")),
        (
            "body_timeout",
            {"timeout_body": LIMIT_S},
            408,
            asks(POST + b"Content-Length: 5\r\n\r\nab"),
        ),
        ("body_timeout", {"timeout_body": LIMIT_S}, 0, leaves_a_body_out),
        ("body_rate", {"timeout_body": LIMIT_S, "limit_body_rate": 10**6}, 408, trickles),
        ("write_timeout", {"timeout_write": LIMIT_S}, 0, does_not_read),
        ("connections", {"limit_connections": 1}, 503, one_too_many),
        ("in_flight", {"limit_concurrency": 1}, 503, one_too_many),
    ],
)
def test_what_exceeds_a_limit_is_answered_logged_and_counted(
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    limit: str,
    options: dict[str, Any],
    status: int,
    exceed: Callable[[Live], int],
) -> None:
    server = serve(application, **options)
    assert exceed(server) == status
    wait_for(lambda: counters(server) == {limit: 1})
    server.__exit__(None, None, None)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    sentence = SENTENCES[limit]
    if status == 0:
        sentence = sentence.replace("answered 408", "connection closed")
    assert len(lines) == 1
    assert sentence in lines[0]
    assert server.server.stats()["rejected"] == 1


def test_an_idle_connection_exceeds_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(application, timeout_keep_alive=LIMIT_S)
    with server.connect() as client:
        assert client.closed()
    stats = server.server.stats()
    assert (stats["keep_alive_expired"], stats["timeouts"], stats["rejected"]) == (1, 1, 0)
    assert counters(server) == {}
    assert caplog.records == []


def test_a_flood_is_one_line_a_second(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(application, limit_body=1)
    began = time.monotonic()
    for _ in range(50):
        with Connection(server.port) as client:
            client.send(POST + b"Content-Length: 2\r\n\r\n")
            assert client.answer().status == 413
    took = time.monotonic() - began
    server.__exit__(None, None, None)
    assert counters(server) == {"body": 50}
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert 2 <= len(lines) <= took + 2
    counted = [line.split(" more within a second: ") for line in lines[1:]]
    assert sum(int(count) for count, _ in counted) == 49
    assert {sentence for _, sentence in counted} == {"request body too large"}


def test_kinds_do_not_hide_each_other(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        flood = Flood(asyncio.get_running_loop(), logging.getLogger("fasterapi"))
        for kind in ("a", "b", "a", "a"):
            flood.log(kind, f"{kind} from 1.2.3.4")
        await asyncio.sleep(1.1)
        flood.log("a", "a again")
        flood.log("b", "b again")
        flood.close()
        flood.log("a", "a late")

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "a from 1.2.3.4",
        "b from 1.2.3.4",
        "2 more within a second: a",
        "b again",
        "1 more within a second: a",
        "a late",
    ]
