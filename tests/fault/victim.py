"""Applications for the attacks, and the guard around each of them that tells what is left."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from fasterapi import _native

Application = Callable[[Any, Any, Any], Awaitable[None]]

PATIENCE_S = 15.0


class Guard:
    """``app``, and two answers of its own: ``/alive``, and ``/left`` with what is in flight."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.stats: Callable[[], dict[str, Any]] = dict
        # What tests before this one in the same process keep, in exceptions for instance.
        self._before = _exchanges()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/alive":
            await answer(send, b"alive")
        elif scope["path"] == "/left":
            await answer(send, json.dumps(self._left()).encode())
        else:
            await self.app(scope, receive, send)

    def _left(self) -> dict[str, Any]:
        """Apart from the call that asks."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return {
            **self.stats(),
            "tasks": sum(isinstance(task.get_coro(), _native.Exchange) for task in tasks),
            "objects": _exchanges() - self._before,
        }


def _exchanges() -> int:
    gc.collect()
    return sum(isinstance(thing, _native.Exchange) for thing in gc.get_objects())


async def answer(send: Any, body: bytes, status: int = 200) -> None:
    """A whole response."""
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def start(send: Any) -> None:
    """The head of a response without a length."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def piece(send: Any, body: bytes, *, more: bool = True) -> None:
    """A piece of its body."""
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def read_all(receive: Any) -> int | None:
    """The length of the request's body; None when the client went away."""
    total = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        total += len(message.get("body", b""))
        if not message.get("more_body", False):
            return total


async def count(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body."""
    total = await read_all(receive)
    if total is not None:
        await answer(send, str(total).encode())


async def echo_path(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the path; never reads."""
    await answer(send, scope["path"].encode())


class Event:
    """Set on the loop's thread, waited for by the test; a failure when it never comes."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(PATIENCE_S), "it never happened"

    def is_set(self) -> bool:
        return self._event.is_set()


class Gate:
    """Closed until the test opens it; handlers wait for it."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.reached = Event()

    async def passed(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.reached.set()
        await asyncio.wait_for(self._opened.wait(), PATIENCE_S)

    def open(self) -> None:
        self.reached.wait()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._opened.set)
