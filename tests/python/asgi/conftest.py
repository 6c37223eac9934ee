"""Applications under test, on every kind of loop and of task, behind real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from asgi.serving import LOOPS, Live, LoopFactory, Serve
from asgi.wire import Application


@pytest.fixture(params=list(LOOPS))
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """What makes the server's event loop."""
    return LOOPS[request.param]


@pytest.fixture(params=["native", "asyncio"])
def task_impl(request: pytest.FixtureRequest) -> Literal["native", "asyncio"]:
    """What drives the application."""
    kind: Literal["native", "asyncio"] = request.param
    return kind


@pytest.fixture
def serve(loop_factory: LoopFactory, task_impl: Literal["native", "asyncio"]) -> Iterator[Serve]:
    """Start servers that stop at the end of the test; lifespan is off unless asked for."""
    with contextlib.ExitStack() as running:

        def start(app: Application, **options: Any) -> Live:
            options.setdefault("lifespan", "off")
            # A connection that closes did so for the reason under test, not of old age.
            options.setdefault("timeout_keep_alive", 120)
            live = Live(app, loop_factory=loop_factory, task_impl=task_impl, **options)
            return running.enter_context(live)

        yield start
