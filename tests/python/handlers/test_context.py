"""Context variables: isolated between requests, inherited from the import of the application."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import anyio.to_thread
import httpx

from fasterapi.testing import LiveServer
from handlers.asking import Ask

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


def test_what_a_request_sets_is_gone_in_the_next(
    task_impl: Literal["native", "asyncio"], suspended: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        before = colour.get()
        colour.set(scope["path"])
        if suspended:
            await asyncio.sleep(0)
        body = f"{before} {colour.get()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    with (
        LiveServer(app, lifespan="off", task_impl=task_impl) as server,
        httpx.Client(base_url=server.base_url) as client,
    ):
        # One connection, so nothing but the request separates them.
        assert [client.get(path).text for path in ("/a", "/b")] == ["none /a", "none /b"]


def test_concurrent_requests_do_not_see_each_other(
    task_impl: Literal["native", "asyncio"],
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        colour.set(scope["path"])
        await asyncio.sleep(0.02)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": colour.get().encode()})

    with (
        LiveServer(app, lifespan="off", task_impl=task_impl) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        paths = [f"/{number}" for number in range(24)]
        answers = pool.map(lambda path: httpx.get(server.base_url + path).text, paths)
        assert list(answers) == paths


def test_a_request_starts_from_the_context_of_the_import(
    task_impl: Literal["native", "asyncio"], suspended: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if suspended:
            await asyncio.sleep(0)
        body = f"{colour.get()} {decimal.getcontext().prec}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def imported() -> LiveServer:
        # What a module does at its top: sets a variable and decimal's precision.
        colour.set("green")
        decimal.getcontext().prec = 7
        return LiveServer(app, lifespan="off", task_impl=task_impl)

    with contextvars.copy_context().run(imported) as server:
        assert httpx.get(server.base_url).text == "green 7"


def test_a_thread_gets_a_copy(ask: Ask) -> None:
    def in_a_thread() -> str:
        seen = colour.get()
        colour.set("changed in the thread")
        return seen

    async def handler() -> list[str]:
        colour.set("red")
        seen = await anyio.to_thread.run_sync(in_a_thread)
        return [seen, colour.get()]

    assert ask(handler) == "['red', 'red']"


def test_a_child_task_gets_a_copy(ask: Ask) -> None:
    async def child() -> str:
        seen = colour.get()
        colour.set("changed in the child")
        return seen

    async def handler() -> list[str]:
        colour.set("blue")
        return [await asyncio.create_task(child()), colour.get()]

    assert ask(handler) == "['blue', 'blue']"
