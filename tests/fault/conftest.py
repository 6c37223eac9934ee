"""Every case ends with the same question: is the server as it was before?"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fasterapi.testing import LiveServer
from fault.peer import TIMEOUT_S, Peer, ask
from fault.victim import Application, Guard

Serve = Callable[..., LiveServer]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server for the length of the test; afterwards it must be as new."""
    # A captured log record keeps its exception, and with it the exchange.
    monkeypatch.setattr(logging.getLogger("fasterapi"), "disabled", True)
    servers = []
    with ExitStack() as stack:

        def start(app: Application, **options: Any) -> LiveServer:
            guard = Guard(app)
            server = stack.enter_context(LiveServer(guard, lifespan="off", **options))
            guard.stats = server.server.stats
            servers.append(server)
            return server

        yield start
        for server in servers:
            _check_unharmed(server)


def _check_unharmed(server: LiveServer) -> None:
    assert ask(server.port).body == b"alive"
    server.settle(TIMEOUT_S)
    server.take_exception()  # whose traceback holds an exchange
    with Peer(server.port) as peer:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            peer.request("/left")
            left = json.loads(peer.answer().body)
            # This connection and its request are the only ones.
            if left["connections"] == 1 and left["objects"] <= 1:
                break
            assert time.monotonic() < deadline, f"something is left: {left}"
        assert left["requests_in_flight"] == 1, left
        assert left["tasks"] == 0, left
        assert left["accepting"], left
