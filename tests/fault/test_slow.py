"""Clients that take their time: each limit on time, and memory while somebody is slow."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from fasterapi.testing import LiveServer
from fault.peer import Peer, resident_bytes
from fault.victim import Event, Gate, answer, count, echo_path, piece, start

Serve = Callable[..., LiveServer]

LIMIT_S = 0.25
LATE_S = 10.0  # a limit of LIMIT_S that takes longer than this did not work
PACE_S = 0.02
MIB = 1 << 20


def wait_still(value: Callable[[], int]) -> int:
    """Until a number that rises has stopped to: there is no event for that."""
    before = -1
    while before != (now := value()):
        before = now
        time.sleep(0.1)
    return before


class Clock:
    """Measures from the moment it is made."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def check(self) -> None:
        """The limit has passed, and not long ago."""
        passed = time.monotonic() - self._begin
        assert LIMIT_S * 0.8 <= passed < LATE_S


# ---- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_stops(serve: Serve, begin: str) -> None:
    server = serve(echo_path, timeout_header=LIMIT_S)
    with Peer(server.port) as peer:
        clock = Clock()
        peer.send(begin.encode())
        answered = peer.head()
        clock.check()
        assert answered.status == 408
        assert answered.headers["connection"] == "close"
        peer.rest()


def test_slowloris(serve: Serve) -> None:
    """Each byte in time, the head never complete: the limit is one for all of it."""
    server = serve(echo_path, timeout_header=LIMIT_S)
    with Peer(server.port) as peer:
        clock = Clock()
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        sent = peer.trickle(b"X-Slow: " + b"a" * 10000, PACE_S)
        clock.check()
        assert sent < 1000
        assert peer.head().status == 408


def test_slowloris_behind_a_good_request(serve: Serve) -> None:
    server = serve(echo_path, timeout_header=LIMIT_S, timeout_keep_alive=60)
    with Peer(server.port) as peer:
        peer.send(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\nGET /bad HTTP/1.1\r\n")
        clock = Clock()
        assert peer.answer().body == b"/good"
        assert peer.trickle(b"X: " + b"a" * 10000, PACE_S) < 1000
        clock.check()
        assert peer.head().status == 408


def test_many_slowloris_do_not_delay_others(serve: Serve) -> None:
    server = serve(echo_path, timeout_header=60)
    peers = [Peer(server.port) for _ in range(200)]
    for peer in peers:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
    with Peer(server.port) as good:
        for _ in range(50):
            good.request("/good")
            assert good.answer().body == b"/good"
    for peer in peers:
        peer.sock.close()


@pytest.mark.parametrize("requests", [0, 1])
def test_an_idle_connection_is_closed_without_a_word(serve: Serve, requests: int) -> None:
    server = serve(echo_path, timeout_keep_alive=LIMIT_S)
    with Peer(server.port) as peer:
        clock = Clock()
        for _ in range(requests):
            peer.request("/")
            peer.answer()
        assert peer.rest() == b""
        clock.check()


@pytest.mark.parametrize(
    "framing", ["Content-Length: 100\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\n123"]
)
def test_a_body_that_stops(serve: Serve, framing: str) -> None:
    server = serve(count, timeout_body=LIMIT_S)
    with Peer(server.port) as peer:
        clock = Clock()
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing.encode())
        assert peer.head().status == 408
        clock.check()
        peer.rest()


def test_a_body_below_the_minimum_rate(serve: Serve) -> None:
    server = serve(count, limits="strict", timeout_body=LIMIT_S)
    with Peer(server.port) as peer:
        clock = Clock()
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        assert peer.trickle(b"a" * 100000, PACE_S) < 2000
        clock.check()
        assert peer.head().status == 408


def test_a_body_that_nobody_wants_has_no_limit(serve: Serve) -> None:
    """The client is not to blame while the application does not read."""
    gate = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            if message["body"][:1] == b"b":
                break
            await gate.passed()
        await answer(send, b"done")

    server = serve(app, timeout_body=LIMIT_S)
    with Peer(server.port) as peer:
        # More than the server takes for an application that has stopped reading.
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
        peer.send(b"a" * 500000)
        gate.reached.wait()
        assert not peer.readable(LIMIT_S * 3)
        gate.open()
        peer.try_send(b"b" * 400000)
        assert peer.answer().status == 200


# ---- answers ------------------------------------------------------------------------------------


class Stream:
    """Sends pieces without end, or ``pieces`` of them, and tells how it ended."""

    SIZE = 65536

    def __init__(self, pieces: int | None = None) -> None:
        self.pieces = pieces
        self.taken = 0
        self.ended = Event()
        self.failure: type[BaseException] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await start(send)
            while self.pieces is None or self.taken < self.pieces:
                await piece(send, bytes(self.SIZE))
                self.taken += 1
            await piece(send, b"", more=False)
        except BaseException as failure:
            self.failure = type(failure)  # the exception itself would hold the exchange
            raise
        finally:
            self.ended.set()


def test_a_client_that_does_not_read_is_dropped(serve: Serve) -> None:
    stream = Stream()
    server = serve(stream, timeout_write=LIMIT_S)
    with Peer(server.port, receive_buffer=4096) as peer:
        clock = Clock()
        peer.request("/")
        stream.ended.wait()
        clock.check()
        assert stream.failure is not None and issubclass(stream.failure, OSError)


def test_a_finished_answer_that_is_not_read_is_dropped(serve: Serve) -> None:
    """Nothing of the application waits any more; the connection must not stay for ever."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, bytes(32 * MIB))

    server = serve(app, timeout_write=LIMIT_S)
    with Peer(server.port, receive_buffer=4096) as peer:
        peer.request("/")
        peer.head()
        server.settle()
        wait_dropped(server)
        assert len(peer.rest()) < 32 * MIB


def wait_dropped(server: LiveServer) -> None:
    """Until no connection is left, though this side reads nothing and closes nothing."""
    deadline = time.monotonic() + LATE_S
    while server.server.stats()["connections"]:
        assert time.monotonic() < deadline
        time.sleep(PACE_S)


def test_pipelined_answers_that_are_not_read(serve: Serve) -> None:
    """Answers pile up at the client, so its further requests wait; then it is dropped."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        await answer(send, bytes(65536))

    calls = 0
    server = serve(app, timeout_write=LIMIT_S)
    with Peer(server.port, receive_buffer=4096) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)
        peer.head()
        wait_dropped(server)
        assert calls < 500


def test_slow_reader_holds_the_application_back(serve: Serve) -> None:
    """The application's send() waits for the client, and memory does not grow."""
    stream = Stream(pieces=1600)  # 100 MiB
    server = serve(stream)
    with Peer(server.port, receive_buffer=4096) as peer:
        peer.request("/")
        peer.head()
        before = resident_bytes()
        most_ahead = most = read = 0
        buffer = bytearray(262144)
        while not peer.got.endswith(b"0\r\n\r\n"):
            size = peer.sock.recv_into(buffer)
            assert size
            read += size
            peer.got = bytes(buffer[max(0, size - 5) : size])
            most_ahead = max(most_ahead, stream.taken * Stream.SIZE - read)
            most = max(most, resident_bytes())
        assert read >= 1600 * Stream.SIZE
        # What the kernel's buffers take, not what the application has.
        assert most_ahead < 16 * MIB
        assert most - before < 24 * MIB
        peer.got = b""


def test_slow_reader_that_stops_holds_little(serve: Serve) -> None:
    stream = Stream()
    server = serve(stream)
    with Peer(server.port, receive_buffer=4096) as peer:
        peer.request("/")
        peer.head()
        taken = wait_still(lambda: stream.taken)
        assert taken * Stream.SIZE < 16 * MIB
        assert not stream.ended.is_set()
        peer.reset()
    stream.ended.wait()
    assert stream.failure is not None and issubclass(stream.failure, OSError)


# ---- uploads ------------------------------------------------------------------------------------


def test_upload_to_a_slow_handler_in_flat_memory(serve: Serve) -> None:
    """100 MiB: nothing but a buffer is taken before the handler reads, then as it reads."""
    total = 100 * MIB
    gate = Gate()
    most = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal most
        await gate.passed()
        got = 0
        while got < total:
            got += len((await receive())["body"])
            await asyncio.sleep(0)
            most = max(most, resident_bytes())
        await answer(send, str(got).encode())

    server = serve(app)
    with Peer(server.port) as peer:
        block = bytes(MIB)
        sent = 0

        def upload() -> None:
            nonlocal sent
            peer.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {total}\r\n\r\n".encode())
            while sent < total:
                sent += peer.sock.send(block)

        before = resident_bytes()
        thread = threading.Thread(target=upload)
        thread.start()
        gate.reached.wait()
        assert wait_still(lambda: int(server.server.stats()["bytes_in"])) < MIB
        assert sent < total / 2
        gate.open()
        assert peer.answer().body == str(total).encode()
        thread.join()
    assert most - before < 24 * MIB
