"""The reference server, for answers that must be the same on both."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from handlers.asking import Application


class _Uvicorn(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@contextlib.contextmanager
def uvicorn_port(app: Application) -> Iterator[int]:
    """Serve ``app`` with uvicorn from a thread; the port it listens on."""
    config = uvicorn.Config(
        app,
        port=0,
        http="httptools",
        loop="asyncio",
        log_config=None,
        access_log=False,
    )
    server = _Uvicorn(config)
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        assert server.listens.wait(20)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
