"""Too much of something: fields, requests, chunks, bytes, connections."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from fasterapi.testing import LiveServer
from fault.peer import Peer, ask, resident_bytes
from fault.victim import Event, Gate, answer, count, echo_path

Serve = Callable[..., LiveServer]

MIB = 1 << 20
HOST = b"Host: a\r\n"
GET = b"GET /x HTTP/1.1\r\n" + HOST


def refused(server: LiveServer, data: bytes) -> int:
    """The status of the answer to it, behind which the connection ends."""
    with Peer(server.port) as peer:
        peer.try_send(data)
        answered = peer.answer()
        assert answered.headers["connection"] == "close"
        assert peer.rest() == b""
        return answered.status


# ---- heads --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "data"),
    [
        pytest.param(431, GET + b"X: " + b"a" * (4 * MIB), id="a field without end"),
        pytest.param(431, GET + b"a" * (4 * MIB), id="a name without end"),
        pytest.param(431, GET + b"X: a\r\n" * 1000, id="many fields"),
        pytest.param(414, b"GET /" + b"a" * (4 * MIB), id="a target without end"),
        pytest.param(414, b"GET /?" + b"a" * (4 * MIB), id="a query without end"),
        pytest.param(501, b"A" * (4 * MIB), id="a method without end"),
        pytest.param(400, b"\r\n" * MIB, id="empty lines without end"),
    ],
)
def test_header_bombs(serve: Serve, status: int, data: bytes) -> None:
    before = resident_bytes()
    server = serve(echo_path)
    for _ in range(5):
        assert refused(server, data) == status
    assert resident_bytes() - before < 16 * MIB


def test_many_header_bombs_at_once(serve: Serve) -> None:
    """Each stops just below the limit and stays: the sum is bounded by limit and connections."""
    server = serve(echo_path, timeout_header=60)
    before = resident_bytes()
    peers = [Peer(server.port) for _ in range(100)]
    for peer in peers:
        peer.send(GET + b"X: " + b"a" * 60000)
    with Peer(server.port) as good:
        good.request("/good")
        assert good.answer().status == 200
    assert resident_bytes() - before < 100 * 300_000
    for peer in peers:
        peer.reset()


# ---- pipelines ----------------------------------------------------------------------------------


def test_ten_thousand_pipelined_requests(serve: Serve) -> None:
    server = serve(echo_path)
    with Peer(server.port) as peer:
        requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(10000))
        thread = threading.Thread(target=peer.send, args=(requests,))
        thread.start()
        for i in range(10000):
            assert peer.answer().body == b"/%d" % i
        thread.join()


def test_a_pipeline_leaves_others_their_turn(serve: Serve) -> None:
    server = serve(echo_path)
    with Peer(server.port) as flood, Peer(server.port) as good:
        stop = threading.Event()

        def pipeline() -> None:
            while not stop.is_set() and flood.try_send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 200):
                for _ in range(200):
                    flood.answer()

        thread = threading.Thread(target=pipeline)
        thread.start()
        for _ in range(100):
            good.request("/good")
            assert good.answer().body == b"/good"
        stop.set()
        thread.join()


def test_a_pipeline_behind_a_slow_answer(serve: Serve) -> None:
    """What comes behind is left in the socket, answered in order, and not started early."""
    gate = Gate()
    calls = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        if scope["path"] == "/slow":
            await gate.passed()
        await answer(send, scope["path"].encode())

    server = serve(app)
    with Peer(server.port) as peer:
        requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(2000))
        peer.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + requests)
        gate.reached.wait()
        ask(server.port)
        assert calls == 1
        assert int(server.server.stats()["bytes_in"]) < 20000
        gate.open()
        assert peer.answer().body == b"/slow"
        for i in range(2000):
            assert peer.answer().body == b"/%d" % i


# ---- bodies -------------------------------------------------------------------------------------

CHUNKED = b"POST /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def test_chunks_of_one_byte(serve: Serve) -> None:
    server = serve(count)
    with Peer(server.port) as peer:
        chunks = 200_000
        peer.send(CHUNKED + b"1\r\na\r\n" * chunks + b"0\r\n\r\n")
        assert peer.answer().body == str(chunks).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"1;" + b"a" * MIB, id="an extension without end"),
        pytest.param(b"1;a=b;c=d;e=f;g=h;i=j;k=l;m=n;o=p\r\na\r\n" * 20000, id="extensions"),
        pytest.param(b"0" * MIB, id="a size without end"),
        pytest.param(b"0\r\n" + b"X: a\r\n" * 20000, id="trailers"),
        pytest.param(b"0\r\nX: " + b"a" * MIB, id="a trailer without end"),
    ],
)
def test_framing_bombs(serve: Serve, data: bytes) -> None:
    assert refused(serve(count), CHUNKED + data) == 400


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", id="announced"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"a" * 9_000_000,
            id="announced and sent",
        ),
        pytest.param(CHUNKED + b"3e9\r\n", id="a chunk announced"),
        pytest.param(CHUNKED + b"1f4\r\n" + b"a" * 500 + b"\r\n1f5\r\n", id="the second chunk"),
        pytest.param(CHUNKED + b"a\r\n" + b"a" * 10 + b"\r\nffffffffffffffff\r\n", id="overflow"),
        pytest.param(CHUNKED + b"1\r\na\r\n" * 200_000, id="small chunks"),
    ],
)
def test_uploads_beyond_the_limit(serve: Serve, data: bytes) -> None:
    """Answered while the client still sends; a well-meaning one reads the answer."""
    assert refused(serve(count, limit_body=1000), data) == 413


def test_an_upload_within_the_limit(serve: Serve) -> None:
    server = serve(count, limit_body=1000)
    with Peer(server.port) as peer:
        peer.request("/", body=b"a" * 1000)
        assert peer.answer().body == b"1000"
        peer.send(CHUNKED + b"3e8\r\n" + b"a" * 1000 + b"\r\n0\r\n\r\n")
        assert peer.answer().body == b"1000"


# ---- connections and requests -------------------------------------------------------------------


def test_the_connection_limit(serve: Serve) -> None:
    server = serve(echo_path, limit_connections=5)
    peers = [Peer(server.port) for _ in range(5)]
    for peer in peers:
        peer.request("/in")
        assert peer.answer().body == b"/in"
    for _ in range(100):  # more than are told so at one time
        with Peer(server.port) as late:
            assert late.answer().status == 503
            assert late.rest() == b""
    for peer in peers:
        peer.request("/still")
        assert peer.answer().body == b"/still"
    for peer in peers:
        peer.reset()
    while server.server.stats()["connections"]:
        pass


def test_the_limit_on_requests_in_flight(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.passed()
        await answer(send, b"in")

    server = serve(app, limit_concurrency=1)
    with Peer(server.port) as first:
        first.request("/")
        gate.reached.wait()
        for _ in range(20):
            assert refused(server, GET + b"\r\n") == 503
        gate.open()
        assert first.answer().body == b"in"


def test_new_connections_wait_while_the_loop_is_busy(serve: Serve) -> None:
    """An application that blocks the loop delays its clients and loses none."""
    entered, free = Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/block":
            entered.set()
            assert free.wait(10)
        await answer(send, scope["path"].encode())

    server = serve(app, timeout_keep_alive=60)
    with Peer(server.port) as blocker:
        blocker.request("/block")
        entered.wait()
        peers = [Peer(server.port) for _ in range(200)]
        for peer in peers:
            peer.request("/wait")
        free.set()
        assert blocker.answer().status == 200
        for peer in peers:
            assert peer.answer().body == b"/wait"
            peer.sock.close()
