"""The ``live_server`` fixture, as the suite of an application uses it."""

from __future__ import annotations

import gc
import logging
import socket
import threading
import weakref
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, Request

from fasterapi.testing import LiveServer

LiveServerFactory = Callable[..., LiveServer]


def named(name: str) -> FastAPI:
    """An application that answers its name and what its scope says."""
    app = FastAPI()

    @app.get("/")
    async def route(request: Request) -> dict[str, object]:
        scope = request.scope
        return {"name": name, "root_path": scope["root_path"], "state": scope.get("state")}

    return app


@pytest.fixture
def started() -> Iterator[list[LiveServer]]:
    """Servers of the test that have to be down behind it; ask for it before ``live_server``."""
    servers: list[LiveServer] = []
    yield servers
    assert servers
    for server in servers:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), 10)
        with pytest.raises(RuntimeError, match="not running"):
            server.settle()


def test_two_servers_in_one_test(started: list[LiveServer], live_server: LiveServerFactory) -> None:
    started += [live_server(named("a")), live_server(named("b"))]
    assert started[0].port != started[1].port
    assert [httpx.get(server.base_url).json()["name"] for server in started] == ["a", "b"]


def test_a_server_that_does_not_start_takes_no_other_along(
    started: list[LiveServer], live_server: LiveServerFactory
) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise LookupError("no database today")

    started.append(live_server(named("a")))
    with pytest.raises(LookupError, match="no database today"):
        live_server(broken, lifespan="on")
    assert httpx.get(started[0].base_url).json()["name"] == "a"


def test_options_are_passed_on(live_server: LiveServerFactory) -> None:
    server = live_server(
        named("a"), "/shop", state={"given": 1}, headers=[("x-shop", "open")], server_header=False
    )
    response = httpx.get(server.base_url)
    assert response.json() == {"name": "a", "root_path": "/shop", "state": {"given": 1}}
    assert response.headers["x-shop"] == "open"
    assert "server" not in response.headers


def test_settle_waits_for_background_tasks(live_server: LiveServerFactory) -> None:
    app = FastAPI()
    release = threading.Event()
    done: list[str] = []

    def behind() -> None:
        release.wait()
        done.append("behind")

    @app.get("/")
    async def route(tasks: BackgroundTasks) -> None:
        tasks.add_task(behind)

    server = live_server(app)
    try:
        assert httpx.get(server.base_url).status_code == 200
        with pytest.raises(TimeoutError):
            server.settle(0.05)
        assert not done
    finally:
        release.set()
    server.settle()
    assert done == ["behind"]


def test_take_exception_keeps_no_reference(
    live_server: LiveServerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps the records of the log, and those keep the exception.
    monkeypatch.setattr(logging.getLogger("fasterapi"), "disabled", True)
    app = FastAPI()

    class Broken(Exception):
        """Unlike the built-in ones it can be referred to weakly."""

    @app.get("/")
    async def route() -> None:
        raise Broken

    server = live_server(app)
    assert server.take_exception() is None
    assert httpx.get(server.base_url).status_code == 500
    server.settle()
    taken = server.take_exception()
    assert isinstance(taken, Broken)
    assert server.take_exception() is None
    gone = weakref.ref(taken)
    del taken
    gc.collect()
    assert gone() is None
