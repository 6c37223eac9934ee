"""The server that the tests of this folder talk to, and the loops it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import uvloop

from asgi.wire import Connection
from fasterapi.loop import Loop
from fasterapi.testing import LiveServer

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

LOOPS: dict[str, LoopFactory] = {
    "fasterapi": Loop,
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


class Live(LiveServer):
    """A server under test with a client of raw bytes."""

    def connect(self, **options: Any) -> Connection:
        """A new connection; close it with ``with``."""
        return Connection(self.port, **options)

    def join(self) -> None:
        """Wait for the server's thread, which ends by itself."""
        self._thread.join(20)
        assert not self._thread.is_alive()


Serve = Callable[..., Live]
