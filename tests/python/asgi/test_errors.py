"""Applications that fail or break the protocol: the client's answer, the exception, the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import Any, Literal

import pytest

from asgi.serving import Live, LoopFactory, Serve
from asgi.wire import GET, Application, respond
from fasterapi.server import ClientDisconnected, ProtocolError

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
CHUNKED = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"hello"}
NOT_STARTED = "Expected ASGI message 'http.response.start', but got 'http.response.body'."


def failing(*messages: Any, error: BaseException | None = None) -> Application:
    """Sends the messages, then raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged as an error."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


class Custom(BaseException):
    """Neither an Exception nor one that asyncio knows."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("broken"),
        Custom("broken"),
        MemoryError("broken"),
        asyncio.CancelledError("broken"),
        SystemExit("broken"),
        StopAsyncIteration("broken"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_before_the_response(
    serve: Serve, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    server = serve(failing(error=error))
    with server.connect() as client:
        answer = client.ask()
        assert answer.status == 500
        assert answer.header(b"content-type") == b"text/plain; charset=utf-8"
        assert answer.body == b"Internal Server Error"
        assert client.closed()
    server.settle()
    assert server.take_exception() is error
    (record,) = errors(caplog)
    assert record.name == "fasterapi"
    assert record.getMessage() == "Exception in ASGI application\n"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_an_exception_after_a_suspension(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        raise ValueError("late")

    with serve(app).connect() as client:
        assert client.ask().status == 500
    assert "late" in caplog.text


def test_the_traceback_is_the_applications(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def deep() -> None:
        raise KeyError("deep")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await deep()

    with serve(app).connect() as client:
        client.ask()
    assert "in deep" in caplog.text
    assert "in app" in caplog.text


def test_an_exception_in_the_response(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    part = {"type": "http.response.body", "body": b"part", "more_body": True}
    server = serve(failing(CHUNKED, part, error=ValueError("broken")))
    with server.connect() as client:
        client.send(GET)
        client.head()
        # The body has no end: the client can tell that it is not whole.
        assert client.rest() == b"4\r\npart\r\n"
    server.settle()
    assert len(errors(caplog)) == 1


def test_an_exception_behind_the_response(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(failing(START, BODY, error=ValueError("broken")))
    with server.connect() as client:
        assert client.ask().body == b"hello"
        assert client.ask().body == b"hello"
    server.settle()
    assert len(errors(caplog)) == 2
    assert str(server.take_exception()) == "broken"


def test_keyboard_interrupt_leaves_the_loop(
    loop_factory: LoopFactory, task_impl: Literal["native", "asyncio"]
) -> None:
    app = failing(error=KeyboardInterrupt())
    server = Live(app, lifespan="off", loop_factory=loop_factory, task_impl=task_impl)
    with pytest.raises(KeyboardInterrupt), server, server.connect() as client:
        client.send(GET)
        with contextlib.suppress(EOFError):
            assert client.answer().status == 500
        server.join()


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ([BODY], NOT_STARTED),
        (
            [{"type": "nonsense"}],
            "Expected ASGI message 'http.response.start', but got 'nonsense'.",
        ),
        ([{**START, "status": 99}], "Invalid HTTP status code."),
        ([{**START, "status": 199}], "Invalid HTTP status code."),
        ([{**START, "status": 600}], "Invalid HTTP status code."),
        ([{**START, "status": 10**30}], "Invalid HTTP status code."),
        ([{**START, "headers": [(b"x", b"a\r\nb: c")]}], "Invalid HTTP header value."),
        ([{**START, "headers": [(b"x", b"a\nb")]}], "Invalid HTTP header value."),
        ([{**START, "headers": [(b"x", b"a\0b")]}], "Invalid HTTP header value."),
        ([{**START, "headers": [(b"x\r\n", b"a")]}], "Invalid HTTP header name."),
        ([{**START, "headers": [(b"x y", b"a")]}], "Invalid HTTP header name."),
        ([{**START, "headers": [(b"", b"a")]}], "Invalid HTTP header name."),
        ([{**START, "headers": [(b"content-length", b"x")]}], "Invalid Content-Length header."),
        ([{**START, "headers": [(b"content-length", b"-1")]}], "Invalid Content-Length header."),
        (
            [{**START, "headers": [(b"content-length", b"1"), (b"Content-Length", b"2")]}],
            "Invalid Content-Length header.",
        ),
    ],
)
def test_what_is_refused_before_the_response(
    serve: Serve, caplog: pytest.LogCaptureFixture, messages: list[Any], sentence: str
) -> None:
    server = serve(failing(*messages))
    with server.connect() as client:
        answer = client.ask()
        assert (answer.status, answer.body) == (500, b"Internal Server Error")
        assert client.closed()
    server.settle()
    raised = server.take_exception()
    assert isinstance(raised, ProtocolError)
    assert isinstance(raised, RuntimeError)
    assert str(raised) == sentence
    (record,) = errors(caplog)
    assert record.getMessage() == f"{sentence} (GET /)"
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        (
            [START, START],
            "Expected ASGI message 'http.response.body', but got 'http.response.start'.",
        ),
        ([START, {**BODY, "body": b"hello!"}], "Response content longer than Content-Length"),
        ([START, {**BODY, "body": b"hell"}], "Response content shorter than Content-Length"),
        ([START, {**BODY, "body": b""}], "Response content shorter than Content-Length"),
        (
            [START, {**BODY, "more_body": True}, BODY],
            "Response content longer than Content-Length",
        ),
        (
            [{**START, "status": 204, "headers": []}, BODY],
            "Response content longer than Content-Length",
        ),
    ],
)
def test_what_is_refused_in_the_response(
    serve: Serve, caplog: pytest.LogCaptureFixture, messages: list[Any], sentence: str
) -> None:
    server = serve(failing(*messages))
    with server.connect() as client:
        client.send(GET)
        client.rest()
    server.settle()
    raised = server.take_exception()
    assert isinstance(raised, ProtocolError)
    assert str(raised) == sentence
    (record,) = errors(caplog)
    assert record.getMessage() == f"{sentence} (GET /)"


def test_send_after_the_end(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(failing(START, BODY, BODY))
    with server.connect() as client:
        assert client.ask().body == b"hello"
        assert client.closed()
    server.settle()
    assert isinstance(server.take_exception(), ProtocolError)
    (record,) = errors(caplog)
    assert record.getMessage() == (
        "Unexpected ASGI message 'http.response.body' sent, after response already completed."
        " (GET /)"
    )


def test_a_swallowed_protocol_error_closes_too(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        with contextlib.suppress(RuntimeError):
            await send({**BODY, "body": b"much too long"})

    server = serve(app)
    with server.connect() as client:
        client.send(GET)
        client.head()
        assert client.closed()
    server.settle()
    assert server.take_exception() is None
    assert [record.getMessage() for record in errors(caplog)] == [
        "Response content longer than Content-Length (GET /)"
    ]


def test_an_application_may_recover_from_a_refused_start(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({**START, "headers": [(b"x", b"\n")]})
        except RuntimeError:
            await respond(send, b"recovered", status=503)

    with serve(app).connect() as client:
        assert client.ask().body == b"recovered"
        assert client.ask().status == 503


@pytest.mark.parametrize(
    ("messages", "kind", "text"),
    [
        ([{}], KeyError, "'type'"),
        ([None], TypeError, "subscriptable"),
        ([{"type": "http.response.start"}], KeyError, "'status'"),
        ([{**START, "status": "200"}], TypeError, "str"),
        ([{**START, "headers": [("a", b"b")]}], TypeError, "bytes, not str"),
        ([{**START, "headers": [(b"a", "b")]}], TypeError, "bytes, not str"),
        ([{**START, "headers": [(b"a", 1)]}], TypeError, "bytes, not int"),
        ([{**START, "headers": [(b"a",)]}], ValueError, "pair"),
        ([{**START, "headers": [(b"a", b"b", b"c")]}], ValueError, "pair"),
        ([{**START, "headers": 5}], TypeError, "headers"),
        ([{**START, "headers": [5]}], TypeError, "pair"),
    ],
)
def test_wrong_types_before_the_response(
    serve: Serve, messages: list[Any], kind: type[Exception], text: str
) -> None:
    server = serve(failing(*messages))
    with server.connect() as client:
        assert client.ask().status == 500
    server.settle()
    raised = server.take_exception()
    assert type(raised) is kind
    assert text in str(raised)


@pytest.mark.parametrize("data", ["text", 5, [b"a"], object()])
def test_a_body_of_a_wrong_type(serve: Serve, data: Any) -> None:
    server = serve(failing(CHUNKED, {**BODY, "body": data}))
    with server.connect() as client:
        client.send(GET)
        client.head()
        assert client.closed()
    server.settle()
    raised = server.take_exception()
    assert type(raised) is TypeError
    assert "bytes" in str(raised)


def test_code_that_a_message_runs_may_do_anything(serve: Serve) -> None:
    class Evil(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            if key == "boom":
                raise ZeroDivisionError
            return super().__getitem__(key)

    class Headers:
        def __iter__(self) -> Any:
            yield b"a", b"b"
            raise ZeroDivisionError("headers")

    server = serve(failing({**START, "headers": Headers()}))
    with server.connect() as client:
        assert client.ask().status == 500
    server.settle()
    assert isinstance(server.take_exception(), ZeroDivisionError)


def test_returning_without_a_response(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(failing())
    with server.connect() as client:
        answer = client.ask()
        assert (answer.status, answer.body) == (500, b"Internal Server Error")
        assert client.closed()
    server.settle()
    assert [record.getMessage() for record in errors(caplog)] == [
        "ASGI callable returned without starting response. (GET /)"
    ]


def test_returning_within_the_response(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(failing(START))
    with server.connect() as client:
        client.send(GET)
        client.head()
        assert client.closed()
    server.settle()
    assert [record.getMessage() for record in errors(caplog)] == [
        "ASGI callable returned without completing response. (GET /)"
    ]


def test_returning_something(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> Any:
        await respond(send, b"hello")
        return {"a": 1}

    server = serve(app)
    with server.connect() as client:
        assert client.ask().body == b"hello"
        assert client.closed()
    server.settle()
    assert [record.getMessage() for record in errors(caplog)] == [
        "ASGI callable should return None, but returned '{'a': 1}'. (GET /)"
    ]


def test_no_coroutine(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(lambda scope, receive, send: None)
    with server.connect() as client:
        assert client.ask().status == 500
    server.settle()
    assert type(server.take_exception()) is TypeError


def test_any_awaitable_will_do(serve: Serve) -> None:
    class Answer:
        def __init__(self, scope: Any, receive: Any, send: Any) -> None:
            self.send = send

        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            yield from respond(self.send, b"awaited").__await__()

    with serve(Answer).connect() as client:
        assert client.ask().body == b"awaited"


def test_send_to_a_client_that_is_gone(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caught: list[BaseException] = []
    called = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        for message in (CHUNKED, BODY, BODY):
            try:
                await send(message)
            except OSError as exc:
                caught.append(exc)

    server = serve(app)
    with server.connect() as client:
        client.send(GET)
        assert called.wait(10)
    server.settle()
    assert [type(exc) for exc in caught] == [ClientDisconnected] * 3
    assert errors(caplog) == []


def test_a_disconnect_that_nobody_handles_is_no_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            await send(CHUNKED)
        except OSError:
            raise RuntimeError("the framework's own") from None

    server = serve(app)
    with server.connect() as client:
        client.send(GET)
        assert called.wait(10)
    server.settle()
    assert str(server.take_exception()) == "the framework's own"
    assert errors(caplog) == []


def test_a_client_that_leaves_a_waiting_send(serve: Serve) -> None:
    caught: list[BaseException] = []
    stuck = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(CHUNKED)
        asyncio.get_running_loop().call_later(0.3, stuck.set)
        try:
            while True:
                await send({**BODY, "body": bytes(1 << 20), "more_body": True})
        except OSError as exc:
            caught.append(exc)

    server = serve(app)
    with server.connect(receive_buffer=4096) as client:
        client.send(GET)
        assert stuck.wait(10)
        client.reset()
        server.settle()
    assert [type(exc) for exc in caught] == [ClientDisconnected]


def test_websocket_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    server = serve(failing(START, BODY))
    for _ in range(2):
        with server.connect() as client:
            answer = client.ask(upgrade)
            assert answer.status == 501
            assert client.closed()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "WebSocket" in warnings[0].getMessage()


def test_other_upgrades_are_ignored(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, x\r\nUpgrade: h2c\r\n\r\n"
    with serve(failing(START, BODY)).connect() as client:
        assert client.ask(upgrade).body == b"hello"
    assert "Unsupported upgrade request." in caplog.text


def test_malformed_requests_are_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with serve(failing(START, BODY)).connect() as client:
        client.send(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
        assert client.answer().status == 400
        assert client.closed()
    assert "Invalid HTTP request received." in caplog.text


# Line ends of several kinds, an escape sequence and a NUL, as a client may write them.
FORGED = b"/a%0a%0d%0AERROR:%20forged%1b[2J%00%7f%c2%85%e2%80%a8b"
FORGED_PATH = "/a\\n\\r\\nERROR: forged\\x1b[2J\\x00\\x7f\\x85\\u2028b"


@pytest.mark.parametrize(
    ("messages", "error", "line"),
    [
        ([BODY], None, f"{NOT_STARTED} (GET {FORGED_PATH})"),
        ([], None, f"ASGI callable returned without starting response. (GET {FORGED_PATH})"),
        ([START], None, f"ASGI callable returned without completing response. (GET {FORGED_PATH})"),
        ([], ValueError("broken"), "Exception in ASGI application"),
        ([START], ValueError("broken"), "Exception in ASGI application"),
    ],
    ids=["refused", "no response", "half a response", "exception", "exception in the response"],
)
def test_a_path_writes_no_lines_into_the_log(
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    messages: list[Any],
    error: BaseException | None,
    line: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(failing(*messages, error=error))
    with server.connect() as client:
        client.send(b"GET " + FORGED + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        client.rest()
    server.settle()
    (record,) = errors(caplog)
    # The line end is the server's own: a traceback follows it.
    assert record.getMessage().removesuffix("\n") == line
    for each in caplog.records:
        assert each.getMessage().removesuffix("\n").isprintable()
        lines = logging.Formatter().format(each).splitlines()
        assert not any(line.startswith("ERROR:") for line in lines)


def test_a_client_that_left_writes_no_lines_into_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    called = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(CHUNKED)

    server = serve(app)
    with server.connect() as client:
        client.send(b"GET " + FORGED + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert called.wait(10)
    server.settle()
    told = [record.getMessage() for record in caplog.records if "gone" in record.getMessage()]
    assert told == [f"The client of GET {FORGED_PATH} has gone."]


def test_what_is_told_of_an_exception_fails(
    loop_factory: LoopFactory,
    task_impl: Literal["native", "asyncio"],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A broken hook or log handler hides neither the exception nor the other one's failure."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("Exception in"):
                raise RuntimeError("handler")

    class BrokenHook(Live):
        def _keep_exception(self, exc: BaseException) -> None:
            super()._keep_exception(exc)
            raise RuntimeError("hook")

    error = ValueError("original")
    handler = Broken()
    app = failing(error=error)
    with BrokenHook(app, lifespan="off", loop_factory=loop_factory, task_impl=task_impl) as server:
        with server.connect() as client:
            assert client.ask().status == 500
        server.settle()
        assert server.take_exception() is error
        assert "original" in caplog.text
        assert "RuntimeError: hook" in caplog.text
        logging.getLogger("fasterapi").addHandler(handler)
        try:
            with server.connect() as client:
                assert client.ask().status == 500
            server.settle()
        finally:
            logging.getLogger("fasterapi").removeHandler(handler)
        assert server.take_exception() is error
        assert "RuntimeError: handler" in caplog.text
