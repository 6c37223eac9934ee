"""Tests against the real server: an application behind a socket, in this process.

``LiveServer`` serves an ASGI application from a thread with a loop of its own; any HTTP client
talks to it. The ``live_server`` fixture (a pytest plugin that comes with the package) starts as
many of them as a test asks for and stops them at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from fasterapi.loop import Loop
from fasterapi.server import Server

__all__ = ["LiveServer"]

_T = TypeVar("_T")


class LiveServer:
    """Serves ``app`` on ``127.0.0.1`` and a free port for the length of a ``with`` block.

    ``root_path`` goes into every scope; ``lifespan`` is ``"auto"``, ``"on"`` or ``"off"``;
    ``state`` (a dictionary) is the lifespan state: what start-up puts in is seen here, and every
    request gets a shallow copy. ``loop_factory`` makes the thread's loop (default
    ``fasterapi.Loop``). Further options are those of :class:`fasterapi.Server`.

    Entering waits until the server accepts connections. It raises what the application raised
    at start-up, or ``RuntimeError`` when it refused to start. Leaving drains the server, runs the
    lifespan's shutdown and joins the thread; a client that still waits after
    ``timeout_graceful_shutdown`` seconds (default 5 here) is disconnected.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        root_path: str = "",
        lifespan: Literal["auto", "on", "off"] = "auto",
        state: dict[str, Any] | None = None,
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = Loop,
        **options: Any,
    ) -> None:
        options.setdefault("timeout_graceful_shutdown", 5)
        options.setdefault("access_log", False)
        self._exception: BaseException | None = None
        self._lock = threading.Lock()
        self.server = Server(
            app,
            host="127.0.0.1",
            port=0,
            root_path=root_path,
            lifespan=lifespan,
            state=state,
            on_exception=self._keep_exception,
            **options,
        )
        self._loop_factory = loop_factory
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="LiveServer", daemon=True)

    # ---- life cycle ----------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        self._running.wait()
        if not self.server.started:
            self._thread.join()
            if self._failure is None:
                self._failure = self.server.startup_error
            raise self._failure or RuntimeError("the application failed to start; see the log")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        self._thread.join()
        if self._failure is not None and exc is None:
            raise self._failure

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                self._loop = runner.get_loop()
                runner.run(self.server.serve(on_started=self._running.set))
        except BaseException as failure:
            self._failure = failure
        finally:
            self._running.set()

    def _stop(self) -> None:
        loop = self._loop
        if loop is not None and self._thread.is_alive():
            # The loop may close by itself in this moment.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.server.request_exit)

    # ---- what a test asks ------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The TCP port the server listens on."""
        return self.server.port

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT``, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def settle(self, timeout: float = 5.0) -> None:
        """Wait until no request, background task or exit of a dependency is in flight.

        A client has its answer before the application's call returns; what runs behind the
        answer is done once this returns. Raises ``TimeoutError`` after ``timeout`` seconds.
        """
        self._call(self.server.wait_idle(), timeout)

    def take_exception(self) -> BaseException | None:
        """The last exception the application raised out of its call, and forget it.

        None when there was none since the last time.
        """
        with self._lock:
            taken, self._exception = self._exception, None
        return taken

    def _keep_exception(self, exc: BaseException) -> None:
        with self._lock:
            self._exception = exc

    def _call(self, coroutine: Coroutine[Any, Any, _T], timeout: float) -> _T:
        loop = self._loop
        if loop is None or not self._thread.is_alive():
            coroutine.close()
            raise RuntimeError("the server is not running")
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise TimeoutError(f"still busy after {timeout} s") from None
