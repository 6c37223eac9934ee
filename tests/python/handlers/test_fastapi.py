"""FastAPI applications, unchanged, through FastAPI itself and through App."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import fastapi
import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel

from asgi.wire import Answer, Connection
from fasterapi import App
from fasterapi.testing import LiveServer
from handlers.beside import uvicorn_port

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


class Item(BaseModel):
    name: str
    price: float = 1.0


def build(kind: type[FastAPI], log: list[str]) -> FastAPI:
    """One application with a route of each kind that touches the server."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        log.append("start")
        yield {"greeting": "hello"}
        log.append("stop")

    app = kind(lifespan=lifespan)

    def opened() -> Iterator[str]:
        log.append("opened")
        yield "resource"
        log.append("closed")

    async def name(user_name: str = "you") -> str:
        user.set(user_name)
        return user_name

    @app.get("/items/{item_id}")
    async def item(item_id: int, q: str | None = None) -> dict[str, Any]:
        return {"item_id": item_id, "q": q}

    @app.post("/items", status_code=201)
    async def create(item: Item) -> Item:
        return item

    @app.get("/sync")
    def sync(resource: Annotated[str, Depends(opened)]) -> dict[str, Any]:
        return {"resource": resource, "main": threading.current_thread().name == "LiveServer"}

    @app.get("/user")
    async def who(name: Annotated[str, Depends(name)]) -> dict[str, str]:
        return {"name": name, "variable": user.get()}

    @app.get("/state")
    async def state(request: Request) -> str:
        greeting: str = request.state.greeting
        return greeting

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("broken on purpose")

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        async def work() -> None:
            await asyncio.sleep(0.01)
            log.append("background")

        tasks.add_task(work)
        return "accepted"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for number in range(3):
                yield f"{number},"
                await asyncio.sleep(0)

        return StreamingResponse(chunks())

    @app.get("/file")
    async def file() -> FileResponse:
        return FileResponse(__file__)

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return {"size": size}

    return app


@pytest.fixture(params=[FastAPI, App], ids=["FastAPI", "App"])
def kind(request: pytest.FixtureRequest) -> type[FastAPI]:
    found: type[FastAPI] = request.param
    return found


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def server(
    kind: type[FastAPI], log: list[str], task_impl: Literal["native", "asyncio"]
) -> Iterator[LiveServer]:
    with LiveServer(build(kind, log), task_impl=task_impl) as running:
        yield running


@pytest.fixture
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url) as client:
        yield client


def test_the_release_under_test_is_fastapis_own() -> None:
    assert issubclass(App, fastapi.FastAPI)


def test_parameters_and_validation(client: httpx.Client) -> None:
    assert client.get("/items/3?q=x").json() == {"item_id": 3, "q": "x"}
    answer = client.get("/items/three")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["path", "item_id"]


def test_bodies(client: httpx.Client) -> None:
    answer = client.post("/items", json={"name": "tea", "price": "2.5"})
    assert (answer.status_code, answer.json()) == (201, {"name": "tea", "price": 2.5})
    assert client.post("/items", content=b"{broken").status_code == 422


def test_sync_handlers_and_yield_dependencies(
    client: httpx.Client, server: LiveServer, log: list[str]
) -> None:
    assert client.get("/sync").json() == {"resource": "resource", "main": False}
    server.settle()
    assert log == ["start", "opened", "closed"]


def test_context_variables_of_dependencies(client: httpx.Client) -> None:
    assert client.get("/user?user_name=ada").json() == {"name": "ada", "variable": "ada"}
    assert client.get("/user").json() == {"name": "you", "variable": "you"}


def test_lifespan_state(client: httpx.Client) -> None:
    assert client.get("/state").json() == "hello"


def test_errors(client: httpx.Client, server: LiveServer) -> None:
    assert client.get("/nowhere").status_code == 404
    assert client.delete("/items/3").status_code == 405
    assert client.get("/teapot").json() == {"detail": "short and stout"}
    answer = client.get("/broken")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    server.settle()
    raised = server.take_exception()
    assert isinstance(raised, LookupError)
    assert server.take_exception() is None


def test_background_tasks_are_awaited_by_settle(
    client: httpx.Client, server: LiveServer, log: list[str]
) -> None:
    assert client.get("/later").json() == "accepted"
    server.settle()
    assert log == ["start", "background"]


def test_streams_and_files(client: httpx.Client) -> None:
    assert client.get("/stream").text == "0,1,2,"
    with open(__file__, encoding="utf-8") as file:
        assert client.get("/file").text == file.read()


def test_a_large_upload_in_pieces(client: httpx.Client) -> None:
    piece = b"x" * 65536
    answer = client.post("/echo", content=(piece for _ in range(64)))
    assert answer.json() == {"size": 64 * 65536}


def test_openapi_and_docs(client: httpx.Client) -> None:
    assert "/items/{item_id}" in client.get("/openapi.json").json()["paths"]
    assert client.get("/docs").status_code == 200


def test_shutdown_runs_at_the_end(kind: type[FastAPI], log: list[str]) -> None:
    with LiveServer(build(kind, log)):
        assert log == ["start"]
    assert log == ["start", "stop"]


def build_limited(kind: type[FastAPI]) -> FastAPI:
    """An application whose bodies FastAPI itself limits to 100 bytes, those of /wide to 200."""
    app = kind(max_body_size=100)

    @app.post("/read")
    @app.post("/wide", max_body_size=200)
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.post("/sync")
    def sync(numbers: list[int]) -> int:
        return len(numbers)

    @app.post("/unread")
    async def unread() -> str:
        return "not read"

    return app


def post(port: int, path: str, body: bytes, *, chunked: bool) -> tuple[Answer, bool]:
    """The answer to a body of that kind, and whether the connection serves another request."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    head = b"POST %s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % (path.encode(), framing)
    if chunked:
        half = len(body) // 2
        pieces = (body[:half], body[half:], b"")
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    with Connection(port) as connection:
        answer = connection.ask(head + body)
        if answer.header(b"connection") == b"close":
            return answer, not connection.closed()
        another = connection.ask(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        return answer, another.status == 404


def own_fields(answer: Answer) -> list[tuple[bytes, bytes]]:
    """What the application sent."""
    return [field for field in answer.headers if field[0] not in (b"date", b"server")]


LIMITED = [
    ("/read", 100, 200),
    ("/read", 101, 413),
    ("/wide", 101, 200),
    ("/wide", 201, 413),
    ("/sync", 101, 413),
]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_fastapis_own_limit_of_bodies(
    kind: type[FastAPI], task_impl: Literal["native", "asyncio"], chunked: bool
) -> None:
    app = build_limited(kind)
    with LiveServer(app, task_impl=task_impl) as server, uvicorn_port(app) as other_port:
        for path, size, status in LIMITED:
            body = b"[" + b" " * (size - 2) + b"]"
            ours, theirs = (
                post(port, path, body, chunked=chunked) for port in (server.port, other_port)
            )
            assert (ours[0].status, ours[0].body) == (theirs[0].status, theirs[0].body)
            assert own_fields(ours[0]) == own_fields(theirs[0])
            assert ours[0].status == status
            if status == 413:
                # A length is refused by the middleware, bytes by the route that reads them.
                refused = b'{"detail":"Content Too Large"}' if chunked else b"Content Too Large"
                assert ours[0].body == refused
            assert ours[1] is True
        # Nobody read it, so only a length tells that it is too long.
        ours, theirs = (
            post(port, "/unread", bytes(101), chunked=chunked)[0]
            for port in (server.port, other_port)
        )
        assert ours.status == theirs.status == (200 if chunked else 413)
        assert ours.body == theirs.body
        server.settle()
        assert server.take_exception() is None


def test_our_limit_of_bodies_is_above_fastapis(kind: type[FastAPI]) -> None:
    with LiveServer(build_limited(kind), limit_body=1000) as server:
        fastapis, _ = post(server.port, "/read", bytes(1000), chunked=False)
        assert fastapis.status == 413
        assert fastapis.header(b"connection") is None
        ours, goes_on = post(server.port, "/read", bytes(1001), chunked=False)
        assert (ours.status, ours.body) == (413, b"Content Too Large")
        assert ours.header(b"connection") == b"close"
        assert not goes_on
