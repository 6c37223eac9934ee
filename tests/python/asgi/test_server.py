"""The life of a Server: inside other programs, listening, draining, limits, what it counts."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from asgi.serving import LoopFactory, Serve
from asgi.wire import GET, Connection, respond
from fasterapi import _native
from fasterapi.server import Server


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once."""
    assert scope["type"] == "http"
    await respond(send, b"hello")


async def ask(port: int, request: bytes = GET) -> bytes:
    """One request over asyncio's own streams, in the loop of the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
    return body


class Gate:
    """An application that stays in its call until it is let go."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.release = threading.Event()
        self.ended: list[BaseException | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside.release()
        try:
            while not self.release.is_set():
                await asyncio.sleep(0.005)
            await respond(send, b"through")
        except BaseException as exc:
            self.ended.append(exc)
            raise
        self.ended.append(None)


# ---- inside other programs ---------------------------------------------------------------


def test_beside_other_tasks(
    loop_factory: LoopFactory, task_impl: Literal["native", "asyncio"]
) -> None:
    async def main() -> list[bytes]:
        server = Server(hello, port=0, lifespan="off", task_impl=task_impl)
        started = asyncio.Event()
        serving = asyncio.create_task(server.serve(on_started=started.set))
        await started.wait()
        answers = [await ask(server.port) for _ in range(5)]
        answers += await asyncio.gather(*(ask(server.port) for _ in range(20)))
        server.should_exit = True
        await serving
        return answers

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == [b"hello"] * 25


def test_by_hand(loop_factory: LoopFactory, task_impl: Literal["native", "asyncio"]) -> None:
    async def main() -> None:
        server = Server(hello, port=0, lifespan="off", task_impl=task_impl)
        assert not server.started
        assert server.port == 0
        assert await server.startup()
        assert server.started
        assert await ask(server.port) == b"hello"
        await server.shutdown()
        await server.shutdown()
        with pytest.raises(ConnectionRefusedError):
            await ask(server.port)
        with pytest.raises(RuntimeError, match="serves once"):
            await server.startup()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_two_servers_on_one_loop(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        servers = [
            Server(hello, port=0, lifespan="off"),
            Server(hello, port=0, lifespan="off", root_path="/b"),
        ]
        for server in servers:
            assert await server.startup()
        assert await asyncio.gather(*(ask(server.port) for server in servers)) == [b"hello"] * 2
        await servers[0].shutdown()
        assert await ask(servers[1].port) == b"hello"
        await servers[1].shutdown()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


@pytest.mark.asyncio
async def test_under_pytest_asyncio() -> None:
    server = Server(hello, port=0, lifespan="off")
    assert await server.startup()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
    finally:
        await server.shutdown()
    assert [answer.text for answer in answers] == ["hello"] * 20


def test_in_debug_mode(loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        time.sleep(0.15)
        await respond(send, b"slow")

    async def main() -> None:
        server = Server(slow, port=0, lifespan="off")
        await server.startup()
        await ask(server.port)
        await server.shutdown()

    with asyncio.Runner(loop_factory=loop_factory, debug=True) as runner:
        runner.run(main())
    assert "took 0.1" in caplog.text


def test_a_task_factory_is_honoured(loop_factory: LoopFactory) -> None:
    made: list[Any] = []

    def factory(loop: Any, coro: Any, **options: Any) -> Any:
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **options)

    async def main() -> None:
        server = Server(hello, port=0, lifespan="off")
        await server.startup()
        asyncio.get_running_loop().set_task_factory(factory)
        assert await ask(server.port) == b"hello"
        await server.shutdown()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert any(isinstance(coro, _native.Exchange) for coro in made)


def test_a_cancelled_serve_shuts_down(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        server = Server(hello, port=0, lifespan="off")
        started = asyncio.Event()
        serving = asyncio.create_task(server.serve(on_started=started.set))
        await started.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(ConnectionRefusedError):
            await ask(server.port)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_a_loop_that_is_closed_takes_the_server_along(loop_factory: LoopFactory) -> None:
    gate = Gate()

    async def main() -> tuple[Server, Connection]:
        server = Server(gate, port=0, lifespan="off")
        await server.startup()
        client = Connection(server.port)
        client.send(GET)
        while server.in_flight == 0:
            await asyncio.sleep(0.001)
        return server, client

    loop = loop_factory()
    server, client = loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    del loop
    gc.collect()
    if server.config.task_impl == "native":
        assert client.rest().startswith((b"", b"HTTP/1.1 500"))
    client.socket.close()
    assert isinstance(gate.ended[0], asyncio.CancelledError)


def test_a_fork_leaves_the_parent_alone(serve: Serve) -> None:
    server = serve(hello)
    with server.connect() as client:
        assert client.ask().body == b"hello"
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert client.ask().body == b"hello"
    with server.connect() as client:
        assert client.ask().body == b"hello"


def test_a_server_nobody_closes_is_collected(loop_factory: LoopFactory) -> None:
    async def main() -> int:
        server = Server(hello, port=0, lifespan="off")
        await server.startup()
        port = server.port
        assert await ask(port) == b"hello"
        gone = weakref.ref(server)
        del server
        gc.collect()
        await asyncio.sleep(0)
        assert gone() is None
        with pytest.raises(ConnectionRefusedError):
            await ask(port)
        return port

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) > 0


# ---- listening -----------------------------------------------------------------------------


def refused(caplog: pytest.LogCaptureFixture, **options: Any) -> str:
    """What is logged of a server that cannot listen."""
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            phase = (await receive())["type"]
            events.append(phase)
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                return

    server = Server(app, **options)
    asyncio.run(server.serve())
    assert not server.started
    assert events == ["lifespan.startup", "lifespan.shutdown"]
    assert isinstance(server.startup_error, OSError)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    return record.getMessage()


def test_a_busy_port(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(caplog, port=port)
    assert said == f"cannot listen on 127.0.0.1:{port}: the address is already in use"


def test_an_unknown_host(caplog: pytest.LogCaptureFixture) -> None:
    assert "cannot resolve" in refused(caplog, host="no.such.host.invalid", port=0)


def test_a_busy_unix_socket(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(path)
        taken.listen()
        said = refused(caplog, uds=path)
    assert said.startswith(f"cannot listen on {path}: ")


def test_the_addresses_are_logged(caplog: pytest.LogCaptureFixture, serve: Serve) -> None:
    caplog.set_level(logging.INFO, logger="fasterapi")
    server = serve(hello)
    assert (
        f"FasterAPI running on http://127.0.0.1:{server.port} (Press CTRL+C to quit)" in caplog.text
    )


def test_a_unix_socket_is_removed(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = serve(hello, uds=str(path))
    with Connection(str(path)) as client:
        assert client.ask().body == b"hello"
    server.__exit__(None, None, None)
    assert not path.exists()


def test_an_inherited_descriptor(serve: Serve) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = serve(hello, fd=listener.detach())
    assert server.port == port
    with server.connect() as client:
        assert client.ask().body == b"hello"


def test_given_sockets_are_served_and_closed(serve: Serve) -> None:
    first, second = socket.socket(), socket.socket()
    first.bind(("127.0.0.1", 0))
    second.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in (first, second)]
    server = serve(hello, sockets=[first, second])
    assert server.port == ports[0]
    for port in ports:
        with Connection(port) as client:
            assert client.ask().body == b"hello"
    server.__exit__(None, None, None)
    assert first.fileno() == -1
    assert second.fileno() == -1


# ---- stopping --------------------------------------------------------------------------------


def test_draining_finishes_what_is_in_flight(serve: Serve) -> None:
    gate = Gate()
    server = serve(gate)
    with server.connect() as client, server.connect() as idle:
        client.send(GET)
        assert gate.inside.acquire(timeout=10)
        server.server.should_exit = True
        assert idle.closed()
        gate.release.set()
        answer = client.answer()
        assert answer.body == b"through"
        assert answer.header(b"connection") == b"close"
        assert client.closed()
    server.join()
    assert gate.ended == [None]


@pytest.mark.parametrize("leave_queue", [False, True])
def test_what_waits_in_the_queue_of_a_shared_socket(
    loop_factory: LoopFactory, leave_queue: bool
) -> None:
    async def main(listener: socket.socket, others: socket.socket) -> bytes:
        server = Server(hello, sockets=[listener], lifespan="off")
        assert await server.startup()
        native = server._native
        assert native is not None
        with Connection(server.port) as client:
            client.send(GET)  # not accepted yet: that is for the loop to do
            native.drain(leave_queue=leave_queue)
            await server.shutdown()
            if leave_queue:
                taken, _ = others.accept()
                with taken:
                    assert taken.recv(1000) == GET
                    taken.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother")
            return client.answer().body

    listener = socket.create_server(("127.0.0.1", 0))
    with listener, listener.dup() as others, asyncio.Runner(loop_factory=loop_factory) as runner:
        others.settimeout(10)
        body = runner.run(main(listener, others))
    assert body == (b"other" if leave_queue else b"hello")


def test_calls_are_cancelled_after_the_grace_period(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    server = serve(gate, timeout_graceful_shutdown=0.2)
    with server.connect() as client:
        client.send(GET)
        assert gate.inside.acquire(timeout=10)
        server.server.should_exit = True
        client.rest()
    server.join()
    (exc,) = gate.ended
    assert isinstance(exc, asyncio.CancelledError)
    assert exc.args == ("Task cancelled, timeout graceful shutdown exceeded",)
    assert "Cancel 1 running task(s), timeout graceful shutdown exceeded" in caplog.text
    assert "Traceback" not in caplog.text
    assert server.take_exception() is None


def test_a_call_that_refuses_to_be_cancelled_does_not_hold_the_server(serve: Serve) -> None:
    inside = threading.Event()
    let_go = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.set()
        while not let_go.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    server = serve(app, timeout_graceful_shutdown=0.05)
    with server.connect() as client:
        client.send(GET)
        assert inside.wait(10)
        server.server.should_exit = True
        assert client.closed()
    let_go.set()
    server.join()


def test_force_exit_waits_for_nothing(serve: Serve) -> None:
    gate = Gate()
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await gate(scope, receive, send)
            return
        while True:
            events.append((await receive())["type"])
            await send({"type": f"{events[-1]}.complete"})

    server = serve(app, lifespan="on", timeout_graceful_shutdown=None)
    with server.connect() as client:
        client.send(GET)
        assert gate.inside.acquire(timeout=10)
        server.server.should_exit = True
        server.server.force_exit = True
        assert client.closed()
    server.join()
    assert events == ["lifespan.startup"]


def test_force_exit_waits_for_no_shutdown(serve: Serve) -> None:
    shutting_down = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        shutting_down.set()
        await asyncio.Event().wait()

    server = serve(app, lifespan="on")
    server.server.should_exit = True
    assert shutting_down.wait(10)
    server.server.force_exit = True
    server.join()


def test_background_work_is_waited_for(serve: Serve) -> None:
    ended: list[bool] = []
    go_on = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"answer")
        await asyncio.get_running_loop().run_in_executor(None, go_on.wait)
        ended.append(True)

    server = serve(app)
    with server.connect() as client:
        assert client.ask().body == b"answer"
    server.server.should_exit = True
    go_on.set()
    server.join()
    assert ended == [True]


def test_signals_stop_a_server_on_the_main_thread(loop_factory: LoopFactory) -> None:
    async def main(number: int) -> None:
        server = Server(hello, port=0, lifespan="off")
        await server.serve(on_started=lambda: os.kill(os.getpid(), number))
        assert server.started

    before = signal.getsignal(signal.SIGTERM)
    caught: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM]


def test_limit_max_requests(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="fasterapi")
    server = serve(hello, limit_max_requests=3)
    with server.connect() as client:
        for _ in range(3):
            assert client.ask().body == b"hello"
        assert client.closed()
    server.join()
    assert "Maximum request limit of 3 exceeded. Terminating process." in caplog.text


# ---- limits ------------------------------------------------------------------------------------


def test_limit_concurrency(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    server = serve(gate, limit_concurrency=1)
    with server.connect() as first, server.connect() as second:
        first.send(GET)
        assert gate.inside.acquire(timeout=10)
        assert second.ask().status == 503
        gate.release.set()
        assert first.answer().body == b"through"
    assert "Exceeded concurrency limit." in caplog.text


def test_limit_body(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await respond(send, b"fits")

    server = serve(app, limit_body=10)
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    with server.connect() as client:
        assert client.ask(post % 10 + b"0123456789").body == b"fits"
        assert client.ask(post % 11).status == 413
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with server.connect() as client:
        assert client.ask(chunked + b"b\r\n01234567890\r\n0\r\n\r\n").status == 413


def test_header_limits(serve: Serve) -> None:
    server = serve(hello, limit_header_bytes=1000, limit_header_fields=5)
    with server.connect() as client:
        assert (
            client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000 + b"\r\n\r\n").status
            == 431
        )
    with server.connect() as client:
        lines = b"".join(b"X: %d\r\n" % number for number in range(5))
        assert client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n").status == 431


def test_the_strict_preset(serve: Serve) -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    with serve(hello, limits="strict").connect() as client:
        assert client.ask(post % 2_000_000).status == 413


def test_timeout_keep_alive(serve: Serve) -> None:
    server = serve(hello, timeout_keep_alive=0.05)
    with server.connect() as client:
        assert client.ask().body == b"hello"
        assert client.closed()


def test_timeout_header(serve: Serve) -> None:
    with serve(hello, timeout_header=0.05).connect() as client:
        client.send(b"GET / HTTP/1.1\r\n")
        assert client.answer().status == 408


def test_timeout_body(serve: Serve) -> None:
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not messages or messages[-1]["type"] != "http.disconnect":
            messages.append(await receive())

    server = serve(app, timeout_body=0.05)
    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        assert client.answer().status == 408
    server.settle()
    assert messages[-1] == {"type": "http.disconnect"}


def test_spinning(task_impl: Literal["native", "asyncio"]) -> None:
    from fasterapi.testing import LiveServer

    with LiveServer(hello, lifespan="off", spin_us=50, task_impl=task_impl) as server:
        assert httpx.get(server.base_url).text == "hello"


def test_spinning_needs_our_loop() -> None:
    server = Server(hello, port=0, lifespan="off", spin_us=50)
    with pytest.raises(RuntimeError, match=r"fasterapi\.Loop"):
        asyncio.run(server.serve())


# ---- what is counted ---------------------------------------------------------------------------


def test_stats(serve: Serve) -> None:
    server = serve(hello)
    with server.connect() as client:
        client.ask()
        client.ask()
        client.send(b"nonsense\r\n\r\n")
        client.rest()
    server.settle()
    stats = server.server.stats()
    assert stats["accepted"] == 1
    assert stats["requests"] == 2
    assert stats["calls_finished"] == 2
    assert stats["calls_failed"] == 0
    assert stats["rejected"] == 1
    assert stats["bytes_in"] == 2 * len(GET) + 12
    server.__exit__(None, None, None)
    assert server.server.stats()["requests"] == 2


def test_in_flight_and_settle(serve: Serve) -> None:
    gate = Gate()
    server = serve(gate)
    assert server.server.in_flight == 0
    with server.connect() as client:
        client.send(GET)
        assert gate.inside.acquire(timeout=10)
        assert server.server.in_flight == 1
        with pytest.raises(TimeoutError):
            server.settle(0.05)
        gate.release.set()
        client.answer()
        server.settle()
        assert server.server.in_flight == 0


def test_the_last_exception_is_kept_without_the_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps the records of the log, and those keep the traceback.
    monkeypatch.setattr(logging.getLogger("fasterapi"), "disabled", True)

    class Big:
        pass

    alive: list[weakref.ref[Big]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["big"] = big = Big()
        alive.append(weakref.ref(big))
        raise ValueError("broken")

    server = serve(app)
    with server.connect() as client:
        client.ask()
    server.settle()
    exc = server.take_exception()
    assert exc is not None
    assert server.take_exception() is None
    # The traceback leads to the request; without it nothing does.
    exc.__traceback__ = None
    gc.collect()
    assert alive[0]() is None
