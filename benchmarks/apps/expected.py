"""Says what an application answers, with no server between: the measure for all servers.

``expected.py module:app`` reads a JSON list of ``{"method", "path", "body"}`` (body as
text) and prints a JSON list of ``{"status", "headers", "body"}`` (body in base64, headers
as the application sent them).
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import sys
from typing import Any
from urllib.parse import unquote


def scope_of(method: str, target: str, body: bytes) -> dict[str, Any]:
    """The ASGI scope of a plain request without extensions."""
    path, _, query = target.partition("?")
    headers = [(b"host", b"127.0.0.1")]
    if body:
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 80),
        "extensions": {},
    }


async def ask(app: Any, request: dict[str, str]) -> dict[str, Any]:
    """Drives one request through the application and collects what it sends."""
    body = request.get("body", "").encode()
    asked = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []
    closed = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await closed.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope_of(request["method"], request["path"], body), receive, send)
    closed.set()
    start = sent[0]
    whole = b"".join(message.get("body", b"") for message in sent[1:])
    return {
        "status": start["status"],
        "headers": [[name.decode(), value.decode()] for name, value in start["headers"]],
        "body": base64.b64encode(whole).decode(),
    }


async def ask_all(app: Any, requests: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The answers, in order."""
    return [await ask(app, request) for request in requests]


def main(target: str) -> None:
    """Reads the requests from the standard input and prints the answers."""
    module, _, attribute = target.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    json.dump(asyncio.run(ask_all(app, json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
