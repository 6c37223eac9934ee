"""The lifespan protocol: order, state, and the log lines and rules of uvicorn."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import Any, Literal

import pytest

from asgi.serving import Live, LoopFactory, Serve
from asgi.wire import Application, respond

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    """The life cycle is written on the level INFO."""
    caplog.set_level(logging.INFO, logger="fasterapi")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about the lifespan."""
    return [
        record.getMessage()
        for record in caplog.records
        if "application" in record.getMessage().lower() or "lifespan" in record.getMessage()
    ]


def application(events: list[str], *, startup: Any = None, shutdown: Any = None) -> Application:
    """Speaks the whole protocol; ``startup`` and ``shutdown`` are messages or exceptions that
    take the place of the good ones."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            events.append("request")
            await respond(send, repr(scope["state"]).encode())
            return
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        for phase, instead in (("startup", startup), ("shutdown", shutdown)):
            message = await receive()
            assert message == {"type": f"lifespan.{phase}"}
            events.append(phase)
            if phase == "startup":
                scope["state"]["made"] = "here"
            if isinstance(instead, BaseException):
                raise instead
            await send(instead or {"type": f"lifespan.{phase}.complete"})

    return app


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_in_order(
    serve: Serve, caplog: pytest.LogCaptureFixture, mode: Literal["auto", "on"]
) -> None:
    events: list[str] = []
    state: dict[str, Any] = {"given": 1}
    server = serve(application(events), lifespan=mode, state=state)
    with server.connect() as client:
        assert client.ask().body == b"{'given': 1, 'made': 'here'}"
    assert state == {"given": 1, "made": "here"}
    server.__exit__(None, None, None)
    assert events == ["startup", "request", "shutdown"]
    assert lines(caplog) == [
        "Waiting for application startup.",
        "Application startup complete.",
        "Waiting for application shutdown.",
        "Application shutdown complete.",
    ]


def test_off(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []
    server = serve(application(events), lifespan="off")
    with server.connect() as client:
        assert client.ask().body == b"{}"
    server.__exit__(None, None, None)
    assert events == ["request"]
    assert lines(caplog) == []


async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
    """An application that knows HTTP only."""
    assert scope["type"] == "http"
    await respond(send, b"served")


def test_auto_serves_what_does_not_support_it(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(without_lifespan, lifespan="auto")
    with server.connect() as client:
        assert client.ask().body == b"served"
    server.__exit__(None, None, None)
    assert lines(caplog) == [
        "Waiting for application startup.",
        "ASGI 'lifespan' protocol appears unsupported.",
        "Application startup complete.",
    ]


def refuses(
    app: Application,
    mode: Literal["auto", "on"],
    loop_factory: LoopFactory,
    error: type[BaseException],
) -> BaseException:
    """Start a server that must not start; what it raised."""
    with (
        pytest.raises(error) as caught,
        Live(app, lifespan=mode, loop_factory=loop_factory) as server,
    ):
        pytest.fail(f"it serves on {server.port}")
    return caught.value


def test_on_refuses_what_does_not_support_it(
    loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    refuses(without_lifespan, "on", loop_factory, AssertionError)
    assert lines(caplog) == [
        "Waiting for application startup.",
        "Exception in 'lifespan' protocol\n",
        "Application startup failed. Exiting.",
    ]
    assert any(record.exc_info for record in caplog.records)


def test_a_start_up_that_says_that_it_failed(
    loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    failed = {"type": "lifespan.startup.failed", "message": "no database"}
    refuses(application([], startup=failed), "auto", loop_factory, RuntimeError)
    assert lines(caplog)[-1] == "Application startup failed. Exiting."
    assert "no database" in caplog.text


def test_fastapi_that_fails_to_start(
    loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    import contextlib
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    error = ValueError("no database")

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise error
        yield

    assert refuses(FastAPI(lifespan=lifespan), "auto", loop_factory, ValueError) is error
    assert "Traceback" in caplog.text
    assert "no database" in caplog.text


def test_a_shutdown_that_fails(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    failed = {"type": "lifespan.shutdown.failed", "message": "cannot let go"}
    server = serve(application([], shutdown=failed), lifespan="on")
    server.__exit__(None, None, None)
    assert "cannot let go" in caplog.text
    assert lines(caplog)[-1] == "Application shutdown failed. Exiting."


def test_a_shutdown_that_raises(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(application([], shutdown=ValueError("broken")), lifespan="on")
    server.__exit__(None, None, None)
    assert "Exception in 'lifespan' protocol" in caplog.text
    assert lines(caplog)[-1] == "Application shutdown failed. Exiting."


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "lifespan.shutdown.complete"}],
        [{"type": "lifespan.startup.complete"}, {"type": "lifespan.startup.complete"}],
        [{"type": "nonsense"}],
    ],
)
def test_messages_out_of_order(serve: Serve, messages: list[Any]) -> None:
    raised: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            for message in messages:
                await send(message)
        except AssertionError as exc:
            raised.append(exc)
            raise

    serve(app, lifespan="auto")
    assert len(raised) == 1


def test_the_context_of_start_up_is_its_own(serve: Serve) -> None:
    """As under uvicorn: requests see the context of the import, not that of the start-up."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            variable.set("lifespan")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            assert variable.get() == "lifespan"
            await send({"type": "lifespan.shutdown.complete"})
            return
        await respond(send, variable.get().encode())

    token = variable.set("import")
    try:
        server = serve(app, lifespan="on")
    finally:
        variable.reset(token)
    with server.connect() as client:
        assert client.ask().body == b"import"


def test_shutdown_waits_for_the_requests(serve: Serve) -> None:
    events: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await application(events)(scope, receive, send)
            return
        inside.set()
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, go_on.wait)
        events.append("request ended")
        await respond(send, b"whole")

    server = serve(app, lifespan="on")
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert inside.wait(10)
        server._stop()
        go_on.set()
        assert client.answer().body == b"whole"
    server.join()
    assert events == ["startup", "request ended", "shutdown"]
