"""A handler that forks: what the child does reaches no client of the parent."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, Literal

import pytest

from asgi.serving import Live
from asgi.wire import respond


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("suspended", [False, True])
def test_the_child_goes_on_with_the_request(
    task_impl: Literal["native", "asyncio"], suspended: bool
) -> None:
    ends = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if suspended:
            await asyncio.sleep(0)
        pid = os.fork()
        if pid == 0:
            # Nothing that the child prints is of interest.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            await respond(send, b"child")
            # The loop refuses its next turn, and the only thread of the child ends.
            return
        ends.append(os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, pid, 0))[1]))
        await respond(send, b"parent")

    with Live(app, lifespan="off", task_impl=task_impl) as server, server.connect() as client:
        assert client.ask().body == b"parent"
        assert client.ask().body == b"parent"
    assert ends == [0, 0]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_keeps_no_port_and_no_connection() -> None:
    children = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(write_end)
            os.read(read_end, 1)
            os._exit(0)
        os.close(read_end)
        children.append((pid, write_end))
        await respond(send, b"parent")

    try:
        with Live(app, lifespan="off") as server:
            client = server.connect()
            assert client.ask().body == b"parent"
            port = server.port
        with client:
            assert client.closed()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    finally:
        for pid, write_end in children:
            os.close(write_end)
            os.waitpid(pid, 0)
