"""Loops, servers and calls that are forgotten in the middle: the collector gets all of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import weakref
from typing import Any, Literal

import pytest

from asgi.serving import LoopFactory
from asgi.wire import GET
from fasterapi.server import Server


class Marker:
    """Something that a call holds."""


async def _one_call(app: Any, task_impl: Literal["native", "asyncio"]) -> None:
    """Serve until one call waits, then forget the server without closing it."""
    server = Server(app, host="127.0.0.1", port=0, lifespan="off", task_impl=task_impl)
    assert await server.startup()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(GET)
        while server.in_flight == 0:
            await asyncio.sleep(0.001)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_loop_closed_with_a_call_in_flight(
    loop_factory: LoopFactory,
    task_impl: Literal["native", "asyncio"],
    caplog: pytest.LogCaptureFixture,
) -> None:
    alive: list[weakref.ref[Marker]] = []
    ends: list[str] = []

    def serve() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            marker = Marker()
            alive.append(weakref.ref(marker))
            with contextlib.suppress(asyncio.CancelledError):
                try:
                    await asyncio.Event().wait()
                finally:
                    ends.append("finally")

        loop = loop_factory()
        loop.run_until_complete(_one_call(app, task_impl))
        loop.close()

    serve()
    for _ in range(3):
        gc.collect()
    assert [ref() for ref in alive] == [None]
    assert ends == ["finally"]
