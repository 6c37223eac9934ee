"""Descriptors that the application closed without ``remove_reader()``: a mistake, and as under
asyncio one that costs nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from asgi.serving import Live
from asgi.wire import GET, Connection, respond
from fasterapi.loop import Loop

_T = TypeVar("_T")

# The client's sockets are of this process too: there must be stale numbers for both sides.
COUNT = 20
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Leak:
    """An application that has closed sockets it watched, and the connections made since."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.clients: list[Connection] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.server = Live(self, lifespan="off")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
            socks = [sock for _ in range(COUNT) for sock in socket.socketpair()]
            for sock in socks:
                self.loop.add_reader(sock, print)
                self.numbers.append(sock.fileno())
            for sock in socks:
                sock.close()
        await respond(send, b"ok")

    def call(self, function: Callable[[asyncio.AbstractEventLoop], _T]) -> _T:
        """Call it on the loop's thread."""
        assert self.loop is not None

        async def main() -> _T:
            return function(asyncio.get_running_loop())

        return asyncio.run_coroutine_threadsafe(main(), self.loop).result(10)

    def taken(self) -> list[int]:
        """The numbers that are the server's ends of connections now."""
        return [number for number in self.numbers if is_connection(number, self.server.port)]

    def check(self) -> None:
        """Every connection is served."""
        assert self.server.server.stats()["rejected"] == 0
        for client in self.clients:
            assert client.ask(GET).body == b"ok"


def is_connection(number: int, port: int) -> bool:
    """Whether a descriptor is a socket with this port at our end."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as sock:
        return sock.family == socket.AF_INET and bool(sock.getsockname()[1] == port)
    return False


@pytest.fixture
def leak() -> Iterator[Leak]:
    """The sockets are closed, their numbers are those of connections."""
    leak = Leak()
    with leak.server as server, contextlib.ExitStack() as stack:
        for _ in range(COUNT):
            client = stack.enter_context(server.connect())
            leak.clients.append(client)
            assert client.ask().body == b"ok"
        assert len(leak.taken()) > 1
        yield leak


def test_new_connections_are_served_under_their_numbers(leak: Leak) -> None:
    leak.check()


def test_who_cleans_up_late_harms_no_connection(leak: Leak) -> None:
    assert all(leak.call(lambda loop: [loop.remove_reader(fd) for fd in leak.numbers]))
    leak.check()
    assert not any(leak.call(lambda loop: [loop.remove_reader(fd) for fd in leak.numbers]))


def test_a_connection_cannot_be_watched_by_its_number(leak: Leak) -> None:
    first, second, *_ = leak.taken()
    for number in (first, first, second):
        with pytest.raises(KeyError, match="native side"):
            leak.call(lambda loop, number=number: loop.add_reader(number, print))
    leak.check()


@pytest.mark.parametrize("method", ["register", "modify"])
def test_a_number_that_came_back_is_watched_afresh(leak: Leak, method: str) -> None:
    number = leak.taken()[-1]  # not the lowest, which the pair below may get
    for client in leak.clients:
        client.send(CLOSE)
        assert client.answer().body == b"ok"
        assert client.closed()

    async def watch(fd: int, theirs: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        selector = loop._selector  # type: ignore[attr-defined]
        readable = asyncio.Event()
        handle = asyncio.Handle(readable.set, (), loop)
        key = getattr(selector, method)(fd, selectors.EVENT_READ, (handle, None))
        theirs.send(b"x")
        await readable.wait()
        assert selector.unregister(fd) == key

    assert leak.loop is not None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.dup2(ours.fileno(), number)
        asyncio.run_coroutine_threadsafe(watch(number, theirs), leak.loop).result(10)
        os.close(number)


def watch_closed(loop: asyncio.AbstractEventLoop, ours: int, theirs: int) -> None:
    """A number that is nobody's."""
    os.close(ours)
    loop.add_reader(ours, print)


def change_closed(loop: asyncio.AbstractEventLoop, ours: int, theirs: int) -> None:
    """A number that is nobody's any more."""
    loop.add_reader(ours, print)
    os.close(ours)
    loop.add_writer(ours, print)


def change_replaced(loop: asyncio.AbstractEventLoop, ours: int, theirs: int) -> None:
    """A number that is another file's now."""
    loop.add_reader(ours, print)
    os.dup2(theirs, ours)
    loop.add_writer(ours, print)


def watch_itself(loop: asyncio.AbstractEventLoop, ours: int, theirs: int) -> None:
    """The poller's own number."""
    loop.add_reader(loop._selector.fileno(), print)  # type: ignore[attr-defined]


@pytest.mark.parametrize("mistake", [watch_closed, change_closed, change_replaced, watch_itself])
def test_the_errors_are_asyncios(
    mistake: Callable[[asyncio.AbstractEventLoop, int, int], None],
) -> None:
    said = []
    for factory in (asyncio.SelectorEventLoop, Loop):
        loop = factory()
        ours, theirs = os.pipe()
        with pytest.raises(OSError, match="Errno") as caught:
            mistake(loop, ours, theirs)
        said.append((type(caught.value), caught.value.errno))
        for fd in (ours, theirs):
            with contextlib.suppress(OSError):
                os.close(fd)
        loop.close()
    assert said[0] == said[1]
