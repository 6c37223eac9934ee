"""More `def` requests at a time than there are threads for them."""

import threading
from contextlib import ExitStack
from typing import Annotated, Literal

import anyio.to_thread
import httpx
from fastapi import Depends, FastAPI

from asgi.wire import GET, Connection
from fasterapi.testing import LiveServer

TOKENS = 40  # anyio's threads, unless an application says otherwise
REQUESTS = 60
PATIENCE_S = 20.0


def build(
    arrived: threading.Semaphore, entered: threading.Semaphore, gate: threading.Event
) -> FastAPI:
    """An application with a `def` route that waits until the test lets it go."""
    app = FastAPI()

    async def arrive() -> int:
        # On the loop, before the request needs a thread.
        arrived.release()
        return int(anyio.to_thread.current_default_thread_limiter().total_tokens)

    @app.get("/")
    def block(tokens: Annotated[int, Depends(arrive)]) -> int:
        entered.release()
        assert gate.wait(PATIENCE_S)
        return tokens

    @app.get("/async")
    async def answer() -> str:
        return "at once"

    return app


def test_a_flood_of_blocked_calls_leaves_the_async_ones_alone(
    task_impl: Literal["native", "asyncio"],
) -> None:
    arrived, entered = threading.Semaphore(0), threading.Semaphore(0)
    gate = threading.Event()
    app = build(arrived, entered, gate)
    with LiveServer(app, task_impl=task_impl) as server, ExitStack() as stack:
        # Also when an assertion fails: the server waits for its threads.
        stack.callback(gate.set)
        clients = [stack.enter_context(Connection(server.port)) for _ in range(REQUESTS)]
        for client in clients:
            client.send(GET)
        for _ in range(REQUESTS):
            assert arrived.acquire(timeout=PATIENCE_S)
        for _ in range(TOKENS):
            assert entered.acquire(timeout=PATIENCE_S)
        with httpx.Client(base_url=server.base_url, timeout=PATIENCE_S) as other:
            for _ in range(20):
                assert other.get("/async").json() == "at once"
        # No thread was left for any of the rest, and none of all has been answered.
        assert not entered.acquire(blocking=False)
        gate.set()
        for client in clients:
            answer = client.answer()
            assert (answer.status, answer.body) == (200, b"%d" % TOKENS)
        for _ in range(REQUESTS - TOKENS):
            assert entered.acquire(blocking=False)
        assert not entered.acquire(blocking=False)
