"""The order of a turn of fasterapi.Loop: events become handles, then native handlers run, a
bounded number of them, then what asyncio has queued. See python/ext/turn.c.

Server and clients share one thread, so a test decides what one turn finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fasterapi.loop import Loop
from fasterapi.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

CALLBACKS_PER_TURN = 256  # MAX_CALLBACKS of python/ext/reactor.c
REQUESTS_PER_CALLBACK = 32  # pipeline_burst of src/http/limits.c


class Served:
    """A server on ``loop``; ``handler`` is called in the first step of each request."""

    def __init__(self, loop: Loop, stack: ExitStack, **options: Any) -> None:
        self.loop = loop
        self.seen = 0
        self.handler: Callable[[], object] = lambda: None
        self._stack = stack
        self._server = Server(
            self._app, host="127.0.0.1", port=0, lifespan="off", access_log=False, **options
        )
        assert loop.run_until_complete(self._server.startup())
        stack.callback(lambda: loop.run_until_complete(self._server.shutdown()))

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen += 1
        self.handler()
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body"})

    def connect(self, count: int) -> list[socket.socket]:
        """Connections that the server has accepted and answered on, apart from the counts."""
        handler, self.handler = self.handler, lambda: None
        socks = [self._stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.setblocking(False)
            self.loop.run_until_complete(self._first_request(sock))
        self.seen, self.handler = 0, handler
        return socks

    async def _first_request(self, sock: socket.socket) -> None:
        await self.loop.sock_connect(sock, ("127.0.0.1", self._server.port))
        await self.loop.sock_sendall(sock, GET)
        assert await self.loop.sock_recv(sock, 1000)

    def turn(self) -> dict[str, int]:
        """Exactly one turn; how much it added to the reactor's counters."""
        assert self.loop.reactor is not None
        before = self.loop.reactor.stats()
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        return {name: value - before[name] for name, value in self.loop.reactor.stats().items()}

    def handlers_by_turn(self, total: int) -> list[int]:
        """Turns until ``total`` requests were served; how many each served before asyncio's
        callbacks had their share of it."""
        counts: list[int] = []

        def share() -> None:
            counts.append(self.seen - sum(counts))
            if sum(counts) == total:
                self.loop.stop()
            else:
                self.loop.call_soon(share)

        self.loop.call_soon(share)
        self.loop.run_forever()
        return counts


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    try:
        yield loop
    finally:
        loop.close()


@pytest.fixture
def stack(loop: Loop) -> Iterator[ExitStack]:
    """What a test opens, closed before the loop is."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def served(loop: Loop, stack: ExitStack) -> Served:
    return Served(loop, stack)


def pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, neither of which blocks, closed at the end."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    return stack.enter_context(near), stack.enter_context(far)


# ---- descriptors -------------------------------------------------------------------------------


def test_a_handler_replaces_a_file_that_has_an_event_in_the_same_turn(
    served: Served, stack: ExitStack
) -> None:
    """The event belongs to the file that was there, not to the one that got its number."""
    loop = served.loop
    (client,) = served.connect(1)
    old, old_peer = pair(stack)
    new, new_peer = pair(stack)
    fd = old.fileno()
    called: list[str] = []
    loop.add_reader(fd, called.append, "old")

    def replace() -> None:
        assert called == []
        assert loop.remove_reader(fd)
        # Closes what had the number and gives it to the other socket, whose own goes.
        os.dup2(new.fileno(), fd, inheritable=False)
        loop.add_reader(fd, called.append, "new")

    served.handler = replace
    old_peer.send(b"for the old one")
    client.send(GET)
    assert served.turn()["io_events"] == 2
    assert served.seen == 1
    assert called == []
    served.turn()
    assert called == []
    # The reader of the new file is still there.
    new_peer.send(b"for the new one")
    served.turn()
    assert called == ["new"]
    assert loop.remove_reader(fd)


def test_a_handler_replaces_a_writer_of_the_same_turn(served: Served, stack: ExitStack) -> None:
    loop = served.loop
    (client,) = served.connect(1)
    old, _ = pair(stack)
    new, new_peer = pair(stack)
    with contextlib.suppress(BlockingIOError):
        while True:
            new.send(bytes(65536))
    fd = old.fileno()
    called: list[str] = []

    def replace() -> None:
        assert loop.remove_writer(fd)
        os.dup2(new.fileno(), fd, inheritable=False)
        loop.add_writer(fd, called.append, "new")

    served.handler = replace
    loop.add_writer(fd, called.append, "old")
    client.send(GET)
    assert served.turn()["io_events"] == 2
    assert served.seen == 1
    assert called == []
    # The new one has no room yet; its writer is there, and called once it has.
    with contextlib.suppress(BlockingIOError):
        while new_peer.recv(65536):
            pass
    served.turn()
    assert called == ["new"]
    assert loop.remove_writer(fd)


def test_asyncios_events_are_handles_before_a_handler_runs(
    served: Served, stack: ExitStack
) -> None:
    """They are, but they run after it: it finds them queued, in the order of their arrival."""
    loop = served.loop
    (client,) = served.connect(1)
    near, far = pair(stack)
    order: list[str] = []

    def reader() -> None:
        order.append("reader")
        near.recv(100)

    def handler() -> None:
        order.append("handler")
        loop.call_soon(order.append, "queued by the handler")

    loop.add_reader(near, reader)
    served.handler = handler
    client.send(GET)
    far.send(b"x")
    assert served.turn()["io_events"] == 2
    assert order == ["handler", "reader", "queued by the handler"]
    loop.remove_reader(near)


# ---- stopping and interrupting -----------------------------------------------------------------


def test_stop_in_a_handler_stops_after_it(served: Served) -> None:
    loop = served.loop
    clients = served.connect(3)
    callbacks: list[int] = []
    served.handler = loop.stop
    for client in clients:
        client.send(GET)
    for count in range(1, len(clients) + 1):
        loop.call_soon(callbacks.append, count)
        loop.run_forever()
        # The rest of the batch waits for the next run; asyncio's callbacks do not.
        assert served.seen == count
        assert callbacks == list(range(1, count + 1))
    for client in clients:
        assert client.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_an_interrupt_leaves_what_was_not_dispatched(served: Served, stack: ExitStack) -> None:
    """The next run begins with it; nothing is lost and nothing comes twice."""
    loop = served.loop
    clients = served.connect(3)
    near, far = pair(stack)
    read: list[bytes] = []

    def reader() -> None:
        # As in asyncio, the handle that was left is queued once more while there is input.
        with contextlib.suppress(BlockingIOError):
            read.append(near.recv(100))

    loop.add_reader(near, reader)

    def interrupt() -> None:
        if served.seen == 1:
            raise KeyboardInterrupt

    served.handler = interrupt
    for client in clients:
        client.send(GET)
    far.send(b"x")
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert (served.seen, read) == (1, [])
    served.turn()
    assert (served.seen, read) == (3, [b"x"])
    served.turn()
    assert (served.seen, read) == (3, [b"x"])
    answers = sorted(client.recv(1000).split(b" ")[1] for client in clients)
    assert answers == [b"204", b"204", b"500"]
    loop.remove_reader(near)


def test_an_interrupt_in_a_callback_leaves_the_handlers_to_the_next_run(served: Served) -> None:
    loop = served.loop
    clients = served.connect(2)

    def interrupt() -> None:
        for client in clients:
            client.send(GET)
        raise KeyboardInterrupt

    loop.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert served.seen == 0
    served.turn()
    assert served.seen == len(clients)


# ---- floods ------------------------------------------------------------------------------------


def test_a_pipelined_flood_leaves_asyncio_its_share(served: Served) -> None:
    (client,) = served.connect(1)
    total = 10 * REQUESTS_PER_CALLBACK
    client.send(GET * total)
    counts = served.handlers_by_turn(total)
    # Once for its event and once for the task that goes on with what was left.
    assert max(counts) <= 2 * REQUESTS_PER_CALLBACK
    assert len(counts) >= total / max(counts)


def test_a_flood_of_connections_leaves_asyncio_its_share(served: Served) -> None:
    """More is ready than a turn may run: connections that go on, and some that begin."""
    clients = served.connect(CALLBACKS_PER_TURN + 44)
    each = 2 * REQUESTS_PER_CALLBACK
    for client in clients:
        client.send(GET * each)
    counts = served.handlers_by_turn(each * len(clients))
    # The kernel gives a turn no more events than this; in the next one, what goes on takes all
    # of it, and the connections that wait come after.
    assert max(counts) == CALLBACKS_PER_TURN * REQUESTS_PER_CALLBACK


# ---- statistics --------------------------------------------------------------------------------


def test_the_reactors_counters(loop: Loop, stack: ExitStack) -> None:
    reactor = loop.reactor
    assert reactor is not None
    names = {"polls", "io_events", "timers", "tasks", "mailbox", "lag_ns", "lag_max_ns"}
    assert reactor.stats() == dict.fromkeys(names, 0)
    served = Served(loop, stack, timeout_keep_alive=0.05)
    (client,) = served.connect(1)
    # One request, one event; what goes beyond a burst is a task of the next turn.
    client.send(GET)
    added = served.turn()
    assert (added["polls"], added["io_events"], served.seen) == (1, 1, 1)
    assert reactor.stats()["lag_ns"] > 0
    client.send(GET * (REQUESTS_PER_CALLBACK + 1))
    before = reactor.stats()["tasks"]
    served.handlers_by_turn(REQUESTS_PER_CALLBACK + 2)
    assert reactor.stats()["tasks"] > before
    # The keep-alive time-out is a timer of the reactor.
    assert loop.run_until_complete(_until_closed(loop, client))
    after = reactor.stats()
    assert after["timers"] > 0
    assert after["lag_max_ns"] >= after["lag_ns"]
    assert after["polls"] >= after["timers"]


async def _until_closed(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bool:
    while await loop.sock_recv(sock, 65536):
        pass
    return True


def test_the_counters_of_a_closed_reactor_are_zero() -> None:
    loop = Loop()
    reactor = loop.reactor
    assert reactor is not None
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert reactor.stats()["polls"] == 1
    loop.close()
    assert set(reactor.stats().values()) == {0}
