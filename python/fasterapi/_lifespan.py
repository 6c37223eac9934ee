"""The ASGI lifespan protocol: start-up before the first request, shutdown after the last.

The order of events, the meaning of ``auto`` and ``on`` and the log lines are uvicorn's, so that
an application sees the same. What differs: the exception that made a start-up fail is kept for
whoever started the server (``Lifespan.failure``).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, MutableMapping
from typing import Any, Literal

__all__ = ["Lifespan"]

logger = logging.getLogger("fasterapi")

_TRANSITION = "Got invalid state transition on lifespan protocol."
_Message = MutableMapping[str, Any]


class Lifespan:
    """One lifespan of one application, on the running loop.

    ``state`` is the dictionary that the application may fill; each request gets a copy of it.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        mode: Literal["auto", "on", "off"],
        state: dict[str, Any],
        context: contextvars.Context,
    ) -> None:
        self.app = app
        self.mode = mode
        self.state = state
        self.failure: BaseException | None = None
        """What the application raised in its start-up or shutdown, if that failed."""
        self._context = context
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._messages: asyncio.Queue[_Message] = asyncio.Queue()
        self._startup_failed = False
        self._shutdown_failed = False
        self._ended_with_error = False
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> bool:
        """Run the application's start-up; False when it failed and nothing may be served."""
        if self.mode == "off":
            return True
        logger.info("Waiting for application startup.")
        loop = asyncio.get_running_loop()
        # The reference keeps the task alive while nothing else refers to it.
        self._task = loop.create_task(self._run(), context=self._context)
        self._messages.put_nowait({"type": "lifespan.startup"})
        await self._started.wait()
        if self._failed(self._startup_failed):
            logger.error("Application startup failed. Exiting.")
            return False
        logger.info("Application startup complete.")
        return True

    async def shutdown(self) -> bool:
        """Run the application's shutdown; False when it failed."""
        if self._task is None or self._ended_with_error:
            return True
        logger.info("Waiting for application shutdown.")
        self._messages.put_nowait({"type": "lifespan.shutdown"})
        await self._stopped.wait()
        if self._failed(self._shutdown_failed):
            logger.error("Application shutdown failed. Exiting.")
            return False
        logger.info("Application shutdown complete.")
        return True

    def _failed(self, said_so: bool) -> bool:
        return said_so or (self._ended_with_error and self.mode == "on")

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self.app(scope, self._receive, self._send)
        except BaseException as exc:
            self._ended_with_error = True
            if self._startup_failed or self._shutdown_failed:
                # Starlette's way: it has sent its traceback as the message, then raises.
                self.failure = exc
            elif self.mode == "auto":
                logger.info("ASGI 'lifespan' protocol appears unsupported.")
            else:
                self.failure = exc
                logger.error("Exception in 'lifespan' protocol\n", exc_info=exc)
            if isinstance(exc, KeyboardInterrupt):
                raise
        finally:
            self._started.set()
            self._stopped.set()

    async def _receive(self) -> _Message:
        return await self._messages.get()

    async def _send(self, message: _Message) -> None:
        kind = message["type"]
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed"):
            _check(not self._started.is_set() and not self._stopped.is_set())
            self._startup_failed = kind == "lifespan.startup.failed"
            self._started.set()
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            _check(self._started.is_set() and not self._stopped.is_set())
            self._shutdown_failed = kind == "lifespan.shutdown.failed"
            self._stopped.set()
        else:
            raise AssertionError(f"Unexpected ASGI message '{kind}' in the lifespan protocol.")
        if kind.endswith(".failed") and message.get("message"):
            logger.error(message["message"])


def _check(allowed: bool) -> None:
    if not allowed:
        raise AssertionError(_TRANSITION)
