"""Starts socketify with its own API, the way it is fastest: ``serve_socketify.py PORT WAY``.

``WAY`` is ``sync`` (a ``def`` handler) or ``async``. The answer is that of ``raw_asgi``.
"""

from __future__ import annotations

import sys
from typing import Any

from raw_asgi import BODY
from socketify import App, AppListenOptions

POOLED = 100_000  # request and response objects made beforehand, as its guide advises


def answer(response: Any, request: Any) -> None:
    """One header and the body, corked into one write by the library."""
    response.write_header("content-type", "application/json")
    response.end(BODY)


async def answer_async(response: Any, request: Any) -> None:
    """The same as a coroutine, which is what an ASGI application is."""
    response.write_header("content-type", "application/json")
    response.end(BODY)


def main(port: str, way: str) -> None:
    """Serves until a signal ends the process."""
    app = App(request_response_factory_max_items=POOLED, task_factory_max_items=POOLED)
    app.get("/", answer_async if way == "async" else answer)
    app.listen(AppListenOptions(port=int(port), host="127.0.0.1"), None)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
