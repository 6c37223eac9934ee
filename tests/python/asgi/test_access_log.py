"""The access log: uvicorn's line, its arguments, and nothing when it is off."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from asgi.serving import Serve
from asgi.wire import respond


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The access log is written on the level INFO."""
    with caplog.at_level(logging.INFO, logger="fasterapi.access"):
        yield


async def app(scope: Any, receive: Any, send: Any) -> None:
    """404 for /missing, an error for /error, else 200."""
    if scope["path"] == "/error":
        raise ValueError
    await respond(send, status=404 if scope["path"] == "/missing" else 200)


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What the access log got."""
    return [record for record in caplog.records if record.name == "fasterapi.access"]


@pytest.mark.parametrize(
    ("request_line", "shown", "status"),
    [
        (b"GET / HTTP/1.1", '"GET / HTTP/1.1"', 200),
        (b"POST /missing?a=1&b=%20 HTTP/1.1", '"POST /missing?a=1&b=%20 HTTP/1.1"', 404),
        (b"GET /a%20b/%C3%A9 HTTP/1.1", '"GET /a%20b/%C3%A9 HTTP/1.1"', 200),
        (b"GET /a~b!c HTTP/1.0", '"GET /a~b%21c HTTP/1.0"', 200),
        (b"GET /error HTTP/1.1", '"GET /error HTTP/1.1"', 500),
        (b"GET /%0a%22 HTTP/1.1", '"GET /%0A%22 HTTP/1.1"', 200),
    ],
)
def test_a_line(
    serve: Serve, caplog: pytest.LogCaptureFixture, request_line: bytes, shown: str, status: int
) -> None:
    server = serve(app, access_log=True)
    with server.connect() as client:
        client.ask(request_line + b"\r\nHost: a\r\n\r\n")
        host, port = client.socket.getsockname()
    server.settle()
    (record,) = lines(caplog)
    assert record.getMessage() == f"{host}:{port} - {shown} {status}"
    assert isinstance(record.args, tuple)
    client_addr, method, path, version, code = record.args
    assert client_addr == f"{host}:{port}"
    assert f'"{method} {path} HTTP/{version}"' == shown
    assert code == status


def test_off(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with serve(app, access_log=False).connect() as client:
        client.ask()
    assert lines(caplog) == []


def test_the_client_that_a_proxy_names(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(app, access_log=True)
    with server.connect() as client:
        client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
    server.settle()
    assert lines(caplog)[0].getMessage().startswith("1.2.3.4:0 - ")


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        (b"1.1.1.1\x85INFO: 6.6.6.6 \x9b2J", r"1.1.1.1\x85INFO: 6.6.6.6 \x9b2J:0"),
        (b"it's\xa0I", r"it's\xa0I:0"),
        (b"caf\xe9\\", "caf\xe9\\:0"),
    ],
)
def test_a_proxy_cannot_be_made_to_write_lines(
    serve: Serve, caplog: pytest.LogCaptureFixture, named: bytes, shown: str
) -> None:
    server = serve(app, access_log=True, forwarded_allow_ips="*")
    with server.connect() as client:
        client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + named + b"\r\n\r\n")
    server.settle()
    assert lines(caplog)[0].getMessage() == f'{shown} - "GET / HTTP/1.1" 200'


def test_a_handler_that_fails_harms_no_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(logging.getLogger("fasterapi.access"), "info", fail)
    with serve(app, access_log=True).connect() as client:
        assert client.ask().status == 200
        assert client.ask().status == 200
