"""Serving an ASGI application: ``await Server(app).serve()`` on any asyncio event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from fasterapi import _foreign, _native
from fasterapi._config import Config
from fasterapi._files import OpenedFile
from fasterapi._flood import Flood
from fasterapi._lifespan import Lifespan
from fasterapi._listen import ListenError, bind_sockets
from fasterapi._proxy import ForwardedFields
from fasterapi._signals import capture_signals

__all__ = ["ClientDisconnected", "Config", "ProtocolError", "Server"]

ClientDisconnected = _native.ClientDisconnected
ProtocolError = _native.ProtocolError

_Scope = MutableMapping[str, Any]
_Application = Callable[..., Any]

logger = logging.getLogger("fasterapi")
access_logger = logging.getLogger("fasterapi.access")

_CANCEL_MESSAGE = "Task cancelled, timeout graceful shutdown exceeded"
_CANCEL_WAIT_S = 1.0  # for cancelled calls to end; those that refuse are left behind


class Server:
    """An ASGI application on the C server; ``options`` are the fields of :class:`Config`.

    Requests run in copies of the context in which the Server was made, so make it where the
    application was imported. ``state`` is the lifespan state, shared with the caller.
    ``on_exception`` is called on the loop's thread with each exception that the application
    raises out of a request.

    A Server serves once. Everything but the two flags ``should_exit`` and ``force_exit``
    belongs to the loop's thread; those may be set from signal handlers and other threads.
    """

    def __init__(
        self,
        app: _Application,
        *,
        state: dict[str, Any] | None = None,
        on_exception: Callable[[BaseException], None] | None = None,
        **options: Any,
    ) -> None:
        self.app = app
        self.config = Config(**options)
        self.state: dict[str, Any] = {} if state is None else state
        self.started = False
        """True from the moment the server accepts connections, also after it stopped."""
        self.startup_error: BaseException | None = None
        """Why the server did not start: what the application raised, or an OSError."""
        self._on_exception = on_exception
        self._context = contextvars.copy_context()
        self.shares_listener = False
        """Whether other processes go on serving the listener when this one has reached its
        number of requests."""
        self._leave_queue = False
        self._should_exit = False
        self._force_exit = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._attached = False
        self._native: _native.HttpServer | None = None
        self._hooks: _Hooks | None = None
        self._last_stats: dict[str, int | bool] = {}
        self._lifespan: Lifespan | None = None
        self._drained = False
        self._cancelling = False
        self._port = 0
        # Set whenever something changed that somebody may wait for.
        self._changed = asyncio.Event()

    # ---- serving -------------------------------------------------------------------------

    async def serve(self, *, on_started: Callable[[], None] | None = None) -> None:
        """Start, serve until asked to stop, and stop.

        On the main thread SIGINT and SIGTERM are taken while it runs: the first drains, a
        second SIGINT stops at once; they are raised again at the end. A server that cannot
        start (the application's start-up failed, the address is taken) says so in the log and
        returns with ``started`` False.
        """
        with capture_signals(self):
            logger.info("Started server process [%d]", os.getpid())
            try:
                if not await self.startup():
                    return
                if on_started is not None:
                    on_started()
                await self._wait(lambda: self._should_exit)
            finally:
                # Also when the task of this call is cancelled.
                await self.shutdown()
            logger.info("Finished server process [%d]", os.getpid())

    async def startup(self) -> bool:
        """Run the lifespan's start-up and listen; False (after a log line) when that failed."""
        if self._loop is not None:
            raise RuntimeError("a Server serves once; make another one")
        self._loop = asyncio.get_running_loop()
        lifespan = Lifespan(self.app, self.config.lifespan, self.state, self._context.copy())
        if not await self._unless_forced(lifespan.startup()):
            self.startup_error = lifespan.failure
            return False
        self._lifespan = lifespan
        try:
            self._native = self._open()
            self._listen(self._native)
        except OSError as exc:
            self.startup_error = exc
            logger.error("%s", exc.strerror or exc)
            await self.shutdown()
            return False
        except BaseException:
            await self.shutdown()
            raise
        self.started = True
        self._log_address()
        return True

    async def shutdown(self) -> None:
        """Drain, run the lifespan's shutdown and close. Safe to call again."""
        native, lifespan = self._native, self._lifespan
        self._should_exit = True
        self._lifespan = None
        try:
            if native is not None and not native.closed:
                logger.info("Shutting down")
                await self._drain(native)
        finally:
            self._close()
        if lifespan is not None and not self._force_exit:
            await self._unless_forced(lifespan.shutdown())

    def request_exit(self) -> None:
        """Let ``serve()`` drain and return."""
        self.should_exit = True

    def retire(self) -> None:
        """As ``request_exit()``, while other processes serve on: the connections that the
        kernel has not handed out are left to them."""
        self._leave_queue = True
        self.request_exit()

    async def wait_idle(self) -> None:
        """Wait until no call of the application and no exchange is in flight."""
        await self._wait(lambda: self._native is None or self._native.idle)

    # ---- what is known ---------------------------------------------------------------------

    @property
    def should_exit(self) -> bool:
        """Set it to drain and stop. From any thread, and from signal handlers."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        self._wake()

    @property
    def force_exit(self) -> bool:
        """Set it to stop without waiting for what is in flight. As ``should_exit``."""
        return self._force_exit

    @force_exit.setter
    def force_exit(self, value: bool) -> None:
        self._force_exit = value
        self._wake()

    @property
    def port(self) -> int:
        """The TCP port that is listened on; 0 without one."""
        return self._port

    @property
    def in_flight(self) -> int:
        """Calls of the application that have not ended."""
        return self._native.calls if self._native is not None else 0

    def stats(self) -> dict[str, int | bool]:
        """Counters by name; after the server stopped those of its end."""
        if self._native is not None and not self._native.closed:
            return self._native.stats()
        return dict(self._last_stats)

    # ---- the C server ------------------------------------------------------------------------

    def _open(self) -> _native.HttpServer:
        config, loop = self.config, asyncio.get_running_loop()
        reactor = _foreign.attach(loop)
        self._attached = True
        self._hooks = _Hooks(self)
        reactor.task_impl = config.task_impl
        if config.spin_us > 0:
            if getattr(loop, "reactor", None) is not reactor:
                raise RuntimeError("spin_us works on fasterapi.Loop only")
            reactor.spin_us = config.spin_us
        return _native.HttpServer(
            reactor=reactor,
            app=self.app,
            context=self._context,
            hooks=self._hooks,
            state=self.state,
            root_path=config.root_path,
            limits=config.native_limits(),
            headers=config.encoded_headers(),
            name=config.server_name(),
            date=config.date(),
            half_close_is_alive=False,
            max_requests=config.max_requests(),
        )

    def _listen(self, native: _native.HttpServer) -> None:
        config = self.config
        if config.sockets is not None:
            for sock in config.sockets:
                # Ours to close at the end, as under uvicorn; the server gets its own.
                sock.listen(config.backlog)
                _hand_over(native, sock.dup())
        elif config.uds is not None and config.fd is None:
            try:
                native.listen_unix(config.uds)
            except OSError as exc:
                reason = os.strerror(exc.errno) if exc.errno else str(exc)
                raise OSError(exc.errno, f"cannot listen on {config.uds}: {reason}") from exc
        else:
            try:
                sockets = bind_sockets(
                    host=config.host, port=config.port, fd=config.fd, backlog=config.backlog
                )
            except ListenError as exc:
                raise OSError(str(exc)) from exc
            for sock in sockets:
                sock.listen(config.backlog)
                _hand_over(native, sock)
        self._port = native.port
        # What the presets, the options and the descriptor limit have come to.
        logger.debug("Limits: %s", " ".join(f"{k}={v}" for k, v in native.limits().items()))

    def _log_address(self) -> None:
        config = self.config
        if config.sockets is not None:
            return
        if config.fd is not None:
            where = f"socket {config.fd}"
        elif config.uds is not None:
            where = f"unix socket {config.uds}"
        else:
            host = config.host or "0.0.0.0"
            where = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        logger.info("FasterAPI running on %s (Press CTRL+C to quit)", where)

    async def _drain(self, native: _native.HttpServer) -> None:
        native.drain(leave_queue=self._leave_queue)
        await asyncio.sleep(0)  # idle connections close in the next turn
        if native.stats()["connections"] and not self._force_exit:
            logger.info("Waiting for connections to close. (CTRL+C to force quit)")
        elif native.calls and not self._force_exit:
            logger.info("Waiting for background tasks to complete. (CTRL+C to force quit)")
        timeout = self.config.timeout_graceful_shutdown
        try:
            await asyncio.wait_for(self._wait(self._quiet), timeout)
        except TimeoutError:
            logger.error(
                "Cancel %s running task(s), timeout graceful shutdown exceeded", native.calls
            )
            await self._cancel_calls(native)

    def _quiet(self) -> bool:
        native = self._native
        return self._force_exit or native is None or (self._drained and native.idle)

    async def _cancel_calls(self, native: _native.HttpServer) -> None:
        self._cancelling = True
        for task in asyncio.all_tasks():
            exchange = task.get_coro()
            if isinstance(exchange, _native.Exchange) and exchange.server is native:
                task.cancel(_CANCEL_MESSAGE)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wait(lambda: native.calls == 0), _CANCEL_WAIT_S)

    def _close(self) -> None:
        native, loop = self._native, self._loop
        if native is not None and not native.closed:
            self._last_stats = native.stats()
            native.close()
            if self._hooks is not None:
                self._hooks.close()
            for sock in self.config.sockets or ():
                sock.close()
        if self._attached and loop is not None:
            self._attached = False
            _foreign.detach(loop)
        self._wake()

    # ---- waiting -------------------------------------------------------------------------------

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            # The loop may have been closed by now: then nobody waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._changed.set)

    async def _unless_forced(self, step: Coroutine[Any, Any, bool]) -> bool:
        """What a step of the lifespan returns; False when a forced exit comes first."""
        task = asyncio.get_running_loop().create_task(step)
        task.add_done_callback(lambda _: self._changed.set())
        try:
            await self._wait(lambda: self._force_exit or task.done())
            return task.done() and task.result()
        finally:
            task.cancel()

    async def _wait(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._changed.clear()
            if not reached():
                await self._changed.wait()


class _Hooks:
    """What the C server calls for the rare things; see http_server.c."""

    def __init__(self, server: Server) -> None:
        config = server.config
        self._server = server
        self._flood = Flood(asyncio.get_running_loop(), logger)
        self.access: Callable[..., None] | None = None
        if config.access_log and access_logger.hasHandlers():
            self.access = access_logger.info
        self.forwarded: Callable[[dict[str, Any]], None] | None = None
        if config.proxy_headers:
            self.forwarded = ForwardedFields(config.trusted_proxies())

    def call_failed(self, exc: BaseException, scope: _Scope, disconnected: bool) -> None:
        """The application raised out of a request."""
        if isinstance(exc, asyncio.CancelledError) and self._server._cancelling:
            logger.warning("Cancelled: %s", _name(scope))
            return
        try:
            self._log_failure(exc, scope, disconnected)
        finally:
            # Whatever one of the two does, the other has its turn.
            if self._server._on_exception is not None:
                self._server._on_exception(exc)

    def _log_failure(self, exc: BaseException, scope: _Scope, disconnected: bool) -> None:
        if disconnected and _is_disconnect(exc):
            logger.debug("The client of %s has gone.", _name(scope), exc_info=exc)
        elif _is_caused_by(exc, ProtocolError):
            # The line was written where it happened.
            logger.debug("Protocol error in %s\n", _name(scope), exc_info=exc)
        else:
            logger.error("Exception in ASGI application\n", exc_info=exc)

    def report(self, sentence: str, scope: _Scope) -> None:
        """The application broke the protocol."""
        logger.error("%s (%s)", sentence, _name(scope))

    def notice(self, sentence: str) -> None:
        """Something the operator should know once."""
        logger.warning(sentence)

    def rejected(
        self, status: int, error: str, limit: str, method: str, target: str, client: str
    ) -> None:
        """The server answered, or closed a connection, without the application.

        ``limit`` names the limit that was exceeded; empty when it was something else.
        """
        client = _printable(client)
        if limit == "in_flight":
            line = f"Exceeded concurrency limit. ({client})"  # uvicorn's words
        elif status == 400:
            line = f"Invalid HTTP request received. ({client}: {error})"
        elif status == 0:
            line = f"{client} - connection closed: {error}"
        else:
            line = f"{client} - answered {status}: {error}"
        if limit:
            # Who exceeds limits does so as often as he likes.
            self._flood.log(error, line)
        else:
            logger.log(logging.DEBUG if status == 0 else logging.WARNING, "%s", line)

    def close(self) -> None:
        """The server has ended."""
        self._flood.close()

    def stopped(self) -> None:
        """Listeners and connections are gone."""
        self._server._drained = True
        self._server._changed.set()

    def idle(self) -> None:
        """No call and no exchange is in flight."""
        self._server._changed.set()

    def limit(self) -> None:
        """The number of requests after which to stop is reached."""
        stats = self._server.stats()
        logger.info("Maximum request limit of %d exceeded. Terminating process.", stats["requests"])
        if self._server.shares_listener:
            self._server.retire()
        else:
            self._server.request_exit()

    @staticmethod
    def open_file(path: Any) -> Awaitable[OpenedFile]:
        """Open the file of a pathsend on a thread."""
        return asyncio.get_running_loop().run_in_executor(None, OpenedFile, path)


def _hand_over(native: _native.HttpServer, sock: socket.socket) -> None:
    try:
        native.listen_fd(sock.fileno())
    except BaseException:
        sock.close()
        raise
    sock.detach()


def _name(scope: _Scope) -> str:
    if not scope:
        return "request"
    return _printable(f"{scope.get('method')} {scope.get('path')}")


def _printable(text: str) -> str:
    """``text`` on one line: what came from a client must not write lines of its own."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _is_caused_by(exc: BaseException, kind: type[BaseException]) -> bool:
    """Whether ``exc`` is a ``kind``, or was raised while one was handled."""
    seen = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        if isinstance(current, kind):
            return True
        if isinstance(current, BaseExceptionGroup) and len(current.exceptions) == 1:
            current = current.exceptions[0]
            continue
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return False


def _is_disconnect(exc: BaseException) -> bool:
    return _is_caused_by(exc, ClientDisconnected)
