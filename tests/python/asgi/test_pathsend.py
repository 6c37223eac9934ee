"""Files sent by path, and interim responses: the two extensions of ASGI that are offered."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from asgi.serving import Serve
from asgi.wire import GET, respond


def sends_file(
    path: Any, *, length: int | None = None, before: bytes = b"", status: int = 200
) -> Any:
    """An application that answers with a file."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [] if length is None else [(b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if before:
            await send({"type": "http.response.body", "body": before, "more_body": True})
        await send({"type": "http.response.pathsend", "path": path})

    return app


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of three megabytes."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    return path


def test_a_file_with_its_length(serve: Serve, file: Path) -> None:
    server = serve(sends_file(str(file), length=3_000_000))
    with server.connect() as client:
        for _ in range(2):
            answer = client.ask()
            assert answer.body == file.read_bytes()
            assert answer.header(b"transfer-encoding") is None
    server.settle()
    assert server.take_exception() is None


def test_a_file_without_a_length_is_chunked(serve: Serve, file: Path) -> None:
    with serve(sends_file(str(file))).connect() as client:
        answer = client.ask()
        assert answer.header(b"transfer-encoding") == b"chunked"
        assert answer.body == file.read_bytes()
        assert client.ask().body == answer.body


def test_a_file_behind_other_bytes(serve: Serve, file: Path) -> None:
    with serve(sends_file(str(file), length=3_000_003, before=b"abc")).connect() as client:
        assert client.ask().body == b"abc" + file.read_bytes()


def test_an_empty_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with serve(sends_file(tmp_path / "empty", length=0)).connect() as client:
        assert client.ask().body == b""
        assert client.ask().body == b""


def test_head(serve: Serve, file: Path) -> None:
    with serve(sends_file(str(file), length=3_000_000)).connect() as client:
        answer = client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.header(b"content-length") == b"3000000"
        assert client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200


def test_a_file_that_grew_is_sent_as_announced(serve: Serve, file: Path) -> None:
    with serve(sends_file(str(file), length=1000)).connect() as client:
        assert client.ask().body == file.read_bytes()[:1000]
        assert client.ask().status == 200


@pytest.mark.parametrize(
    ("name", "error"),
    [("missing", FileNotFoundError), (".", OSError), ("fifo", OSError)],
)
def test_what_cannot_be_sent(
    serve: Serve, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    server = serve(sends_file(str(tmp_path / name), length=10))
    with server.connect() as client:
        client.send(GET)
        assert client.head()[0] == 200
        assert client.closed()
    server.settle()
    assert isinstance(server.take_exception(), error)


def test_a_file_that_is_too_short(serve: Serve, file: Path) -> None:
    server = serve(sends_file(str(file), length=3_000_001))
    with server.connect() as client:
        client.send(GET)
        client.head()
        client.rest()
    server.settle()
    raised = server.take_exception()
    assert isinstance(raised, RuntimeError)
    assert str(raised) == "Response content shorter than Content-Length"


def test_wrong_messages(serve: Serve, file: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(RuntimeError, match=r"Expected ASGI message 'http.response.start'"):
            await send({"type": "http.response.pathsend", "path": str(file)})
        await send({"type": "http.response.start", "status": 200})
        with pytest.raises(KeyError, match="path"):
            await send({"type": "http.response.pathsend"})
        await send({"type": "http.response.pathsend", "path": str(file)})
        with pytest.raises(RuntimeError, match="already completed"):
            await send({"type": "http.response.pathsend", "path": str(file)})

    server = serve(app)
    with server.connect() as client:
        client.send(GET)
        client.head()
        assert b"".join(client.chunks()) == file.read_bytes()
    server.settle()
    assert server.take_exception() is None


def test_nothing_else_while_a_file_is_opened(serve: Serve, file: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        opening = asyncio.create_task(send({"type": "http.response.pathsend", "path": str(file)}))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match=r"after 'http.response.pathsend'"):
            await send({"type": "http.response.body", "body": b"x"})
        with pytest.raises(OSError, match="gone"):
            await opening

    server = serve(app)
    with server.connect() as client:
        client.send(GET)
        client.rest()
    server.settle()
    assert server.take_exception() is None


def test_a_client_that_leaves_while_its_file_is_sent(serve: Serve, file: Path) -> None:
    server = serve(sends_file(str(file), length=3_000_000))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with server.connect(receive_buffer=4096) as client:
            client.send(GET)
            client.head()
            client.reset()
    server.settle()
    deadline = threading.Event()
    for _ in range(100):
        if len(os.listdir("/proc/self/fd")) <= before:
            break
        deadline.wait(0.05)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_cancelled_pathsend_leaks_no_descriptor(serve: Serve, file: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        task = asyncio.create_task(send({"type": "http.response.pathsend", "path": str(file)}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    server = serve(app)
    with server.connect() as client:
        client.ask(b"GET / HTTP/1.0\r\n\r\n")
    server.settle()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with server.connect() as client:
            client.ask(b"GET / HTTP/1.0\r\n\r\n")
    server.settle()
    for _ in range(100):
        if len(os.listdir("/proc/self/fd")) <= before:
            break
        threading.Event().wait(0.05)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_starlette_sends_files_this_way(serve: Serve, file: Path) -> None:
    from starlette.responses import FileResponse

    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            seen.append(message["type"])
            await send(message)

        await FileResponse(file)(scope, receive, watched)

    with serve(app).connect() as client:
        assert client.ask().body == file.read_bytes()
    assert seen == ["http.response.start", "http.response.pathsend"]


# ---- early hints -------------------------------------------------------------------------


def test_early_hints(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        links = [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]
        await send({"type": "http.response.early_hint", "links": links})
        await send({"type": "http.response.early_hint", "links": iter([b"</c>"])})
        await send({"type": "http.response.early_hint", "links": []})
        await send({"type": "http.response.early_hint"})
        await respond(send, b"done")

    with serve(app).connect() as client:
        client.send(GET)
        assert client.head() == (
            103,
            "Early Hints",
            [(b"link", b"</a.css>; rel=preload"), (b"link", b"</b.js>; rel=preload")],
        )
        assert client.head() == (103, "Early Hints", [(b"link", b"</c>")])
        assert client.answer().body == b"done"


def test_early_hints_are_not_for_http_1_0(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</a>"]})
        await respond(send, b"done")

    with serve(app).connect() as client:
        assert client.ask(b"GET / HTTP/1.0\r\n\r\n").body == b"done"


def test_early_hints_in_the_response_are_ignored(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.early_hint", "links": [b"</a>"]})
        await send({"type": "http.response.body", "body": b"done"})

    with serve(app).connect() as client:
        assert client.ask().body == b"done"


@pytest.mark.parametrize(
    ("links", "error"),
    [([b"a\r\nb: c"], RuntimeError), (["text"], TypeError), (5, TypeError), (b"ab", TypeError)],
)
def test_early_hints_that_are_wrong(serve: Serve, links: Any, error: type[Exception]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(error):
            await send({"type": "http.response.early_hint", "links": links})
        await respond(send, b"done")

    with serve(app).connect() as client:
        assert client.ask().body == b"done"
