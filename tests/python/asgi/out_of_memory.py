"""A server whose n-th allocation of Python memory fails, n growing from request to request:
run by test_no_memory.py in a process of its own, because memory is the process's.

usage: python -m asgi.out_of_memory inside|between native|asyncio
"""

from __future__ import annotations

import _testcapi
import asyncio
import logging
import sys
from typing import Any

from asgi.wire import respond
from fasterapi.loop import Loop
from fasterapi.server import Server

where, task_impl = sys.argv[1:]
number = 0


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body; /number tells which allocation fails next."""
    global number
    _testcapi.remove_mem_hooks()
    if scope["path"] == "/number":
        await respond(send, b"%d" % number)
        return
    message = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]}
    body: dict[str, Any] = {"type": "http.response.body"}
    number += 1
    if where == "inside":
        _testcapi.set_nomemory(number, number + 1)
    try:
        received = await receive()
        body["body"] = received["body"]
        await send(message)
        await send(body)
    finally:
        _testcapi.remove_mem_hooks()
    if where == "between":
        # What follows: the end of this call, and the beginning of the next one.
        _testcapi.set_nomemory(number, number + 1)


async def main() -> None:
    server = Server(app, port=0, lifespan="off", task_impl=task_impl, access_log=False)
    await server.serve(on_started=lambda: print(server.port, flush=True))


# What is logged of a MemoryError says nothing here, and logging needs memory.
logging.disable()
with asyncio.Runner(loop_factory=Loop) as runner:
    runner.run(main())
