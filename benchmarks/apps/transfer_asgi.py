"""A bare ASGI application that moves large bodies.

``POST /upload`` takes a body in slowly: after each MiB it sleeps, so that a client which
sends as fast as it can must be held back by the server, or the server's memory grows.
``GET /file`` hands out the file named by ``FABENCH_FILE``: with ``http.response.pathsend``
where the server offers it, else in pieces of 64 KiB, as Starlette's ``FileResponse`` does.
``GET /`` says which of the two it would be.
"""

from __future__ import annotations

import asyncio
import os

import anyio
from raw_asgi import Message, Receive, Send, answer_lifespan

MIB = 1024 * 1024
PAUSE_S = 0.01  # per MiB: a handler that takes in at most 100 MiB a second
PIECE_BYTES = 64 * 1024
PATHSEND = "http.response.pathsend"


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Routes the three paths; anything else is 404."""
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
    elif scope["path"] == "/upload":
        await take_upload(receive, send)
    elif scope["path"] == "/file":
        await hand_out_file(scope, send)
    elif scope["path"] == "/":
        way = PATHSEND if PATHSEND in (scope.get("extensions") or {}) else "pieces"
        await answer_text(send, 200, way)
    else:
        await answer_text(send, 404, "not found")


async def take_upload(receive: Receive, send: Send) -> None:
    """Counts the bytes of the body and answers with their number."""
    total = unpaused = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size = len(message.get("body", b""))
        total += size
        unpaused += size
        while unpaused >= MIB:
            unpaused -= MIB
            await asyncio.sleep(PAUSE_S)
        if not message.get("more_body", False):
            break
    await answer_text(send, 200, str(total))


async def hand_out_file(scope: Message, send: Send) -> None:
    """Sends the whole file with its length."""
    path = os.environ["FABENCH_FILE"]
    size = os.stat(path).st_size
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/octet-stream"),
                (b"content-length", str(size).encode()),
            ],
        }
    )
    if PATHSEND in (scope.get("extensions") or {}):
        await send({"type": PATHSEND, "path": path})
        return
    async with await anyio.open_file(path, "rb") as file:
        left = size
        while left > 0:
            piece = await file.read(PIECE_BYTES)
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


async def answer_text(send: Send, status: int, text: str) -> None:
    """Sends a short text answer."""
    body = text.encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/plain"),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
