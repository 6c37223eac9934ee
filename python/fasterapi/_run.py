"""``fasterapi.run``: what ``fasterapi run`` does, for a program that starts the server itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fasterapi._config import Config
from fasterapi._importer import ApplicationNotFound, import_application
from fasterapi._listen import ListenError, bind_sockets, describe
from fasterapi._logging import LOGGING_CONFIG, configure_logging
from fasterapi._supervisor import STARTUP_FAILURE, Supervisor
from fasterapi.loop import Loop
from fasterapi.server import Server

__all__ = ["TLS_SENTENCE", "run"]

logger = logging.getLogger("fasterapi")

TLS_SENTENCE = "TLS is not built in yet"


def run(
    app: Callable[..., Any] | str,
    *,
    host: str | None = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    fd: int | None = None,
    workers: int | None = None,
    app_dir: str | None = None,
    factory: bool = False,
    log_config: dict[str, Any] | str | os.PathLike[str] | None = LOGGING_CONFIG,
    log_level: str | int | None = None,
    access_log: bool = True,
    use_colors: bool | None = None,
    **options: Any,
) -> None:
    """Serve ``app`` until a signal ends the process.

    ``app`` is an ASGI application or ``"module:attribute"``; with ``workers`` above 1 (default:
    ``WEB_CONCURRENCY`` or 1) it must be the string, because each worker imports it afresh.
    ``options`` are those of :class:`fasterapi.Server`; the names are uvicorn's where uvicorn has
    them. Returns after SIGINT has drained the server; SIGTERM drains it and then ends the
    process. A second SIGINT ends the process at once: nothing behind the call runs, exit
    handlers neither. Exits with status 3 and one sentence in the log when the server cannot
    start; raises ``TypeError`` or ``ValueError`` for options that do not exist or make no sense.
    """
    if any(name.startswith("ssl_") and value for name, value in options.items()):
        raise ValueError(TLS_SENTENCE)
    if workers is None:
        workers = _workers_from_environment()
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    log: dict[str, Any] = {
        "log_config": os.fspath(log_config) if isinstance(log_config, os.PathLike) else log_config,
        "log_level": log_level,
        "access_log": access_log,
        "use_colors": use_colors,
    }
    configure_logging(**log)
    server_options = {**options, "access_log": access_log}
    if workers > 1:
        if not isinstance(app, str):
            _fail('Pass the application as an import string ("module:app") to run workers.')
        address = {"host": host, "port": port, "uds": uds, "fd": fd}
        _run_workers(app, workers, address, app_dir, factory, log, server_options)
        return
    application: Any = app
    if isinstance(app, str):
        application = load(app, app_dir=app_dir, factory=factory)
    elif factory:
        application = app()
    serve(Server(application, host=host, port=port, uds=uds, fd=fd, **server_options))


def load(spec: str, *, app_dir: str | None, factory: bool) -> Any:
    """Import the application, or end the process with one sentence.

    What the user's module raises goes through with its traceback.
    """
    try:
        return import_application(spec, app_dir="" if app_dir is None else app_dir, factory=factory)
    except ApplicationNotFound as exc:
        _fail(f"Error loading ASGI app. {exc}")


def serve(server: Server, main: Coroutine[Any, Any, None] | None = None) -> None:
    """Run one server on a fresh ``fasterapi.Loop`` in this thread, signals included.

    ``main`` serves it (default ``server.serve()``). Returns once the server has drained; exits
    with status 3 when it never served. A forced exit ends the process, so this is the last
    act of a program.
    """
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            # Behind a drain a Ctrl-C ends the program normally, as under uvicorn.
            with contextlib.suppress(KeyboardInterrupt):
                runner.run(server.serve() if main is None else main)
            if server.force_exit:
                # Closing the runner would wait for the threads of the application.
                _leave(server)
    except KeyboardInterrupt:
        # It came while the closing runner waited for such a thread: the drain gave up on it.
        _leave(server)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _leave(server: Server) -> NoReturn:
    """End the process now, whatever its threads are blocked in, with what it wrote written.

    The status is the one that ``serve`` would have left with. Exit handlers are skipped: the
    interpreter runs them behind its wait for threads.
    """
    try:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            # There may be none, it may be closed, and so may its other end.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
    finally:
        # Also when one more Ctrl-C interrupts a flush that blocks.
        os._exit(0 if server.started else STARTUP_FAILURE)


def _run_workers(
    app: str,
    workers: int,
    address: dict[str, Any],
    app_dir: str | None,
    factory: bool,
    log: dict[str, Any],
    options: dict[str, Any],
) -> None:
    for name in ("sockets", "state", "on_exception"):
        if options.get(name) is not None:
            raise ValueError(f"{name} cannot be handed to worker processes")
    config = Config(**address, **options)  # what is wrong is said here, once
    settings = {
        "app": app,
        "app_dir": app_dir,
        "factory": factory,
        "sys_path": sys.path,
        "log": log,
        "server": options,
    }
    try:
        sockets = bind_sockets(backlog=config.backlog, **address)
    except ListenError as exc:
        _fail(str(exc))
    logger.info("FasterAPI running on %s (Press CTRL+C to quit)", describe(sockets))
    grace_s = config.timeout_graceful_shutdown
    # An inherited socket has its file from whoever opened it.
    ours = address["fd"] is None
    supervisor = Supervisor(settings, sockets, workers, grace_s=grace_s, remove_files=ours)
    code = supervisor.run()
    if code:
        sys.exit(code)


def _workers_from_environment() -> int:
    text = os.environ.get("WEB_CONCURRENCY", "1")
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'WEB_CONCURRENCY must be a number, not "{text}"') from None


def _fail(sentence: str) -> NoReturn:
    logger.error(sentence)
    sys.exit(STARTUP_FAILURE)
