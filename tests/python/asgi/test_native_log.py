"""What the C library logs: in Python's log, whatever state the process and the handlers are in."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asgi.serving import LoopFactory, Serve
from asgi.wire import respond
from fasterapi import _native
from fasterapi.server import Server

LOGGER = logging.getLogger("fasterapi")


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once."""
    await respond(send, b"hello")


class Handler(logging.Handler):
    """Does something with each record that the C library logged."""

    def __init__(self, act: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self.act = act
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.act(record)


@pytest.fixture
def handle() -> Iterator[Callable[[Callable[[logging.LogRecord], None]], Handler]]:
    """Add a handler at DEBUG for the length of the test."""
    level = LOGGER.level
    added: list[Handler] = []

    def add(act: Callable[[logging.LogRecord], None]) -> Handler:
        added.append(Handler(act))
        LOGGER.addHandler(added[-1])
        LOGGER.setLevel(logging.DEBUG)
        return added[-1]

    yield add
    for handler in added:
        LOGGER.removeHandler(handler)
    LOGGER.setLevel(level)


def in_a_process(code: str) -> str:
    """What a program that logs through the C library writes to standard error."""
    program = "import logging, sys\nfrom fasterapi import _native\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stderr


@pytest.mark.parametrize("gil", [True, False])
@pytest.mark.parametrize(
    ("level", "name"), [(10, "DEBUG"), (20, "INFO"), (30, "WARNING"), (40, "ERROR")]
)
def test_lines_become_records(
    caplog: pytest.LogCaptureFixture, gil: bool, level: int, name: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="fasterapi")
    _native.log(level, "100 % Käse\n", gil)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("fasterapi", name)
    assert record.getMessage() == r"100 % Käse\x0a"


def test_the_logger_decides_what_is_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="fasterapi")
    _native.log(30, "quiet")
    _native.log(40, "loud")
    assert [record.getMessage() for record in caplog.records] == ["loud"]


@pytest.mark.parametrize("gil", [True, False])
def test_a_handler_that_fails_harms_nobody(
    handle: Callable[[Callable[[logging.LogRecord], None]], Handler],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    gil: bool,
) -> None:
    def fail(record: logging.LogRecord) -> None:
        raise LookupError("no disk today")

    failures: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: failures.append(str(args.exc_value)))
    handle(fail)
    _native.log(30, "not lost", gil)
    assert failures == ["no disk today"]
    assert "fasterapi: WARNING: not lost\n" in capfd.readouterr().err


def test_a_server_outlives_a_handler_that_fails(
    serve: Serve,
    handle: Callable[[Callable[[logging.LogRecord], None]], Handler],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(record: logging.LogRecord) -> None:
        if "keep-alive" in record.getMessage():
            raise LookupError("no disk today")

    failures: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: failures.append(str(args.exc_value)))
    server = serve(hello, timeout_keep_alive=0.05)
    handle(fail)
    for _ in range(2):
        with server.connect() as client:
            assert client.ask().body == b"hello"
            assert client.closed()
    assert failures == ["no disk today"] * 2


def test_a_server_that_is_collected_while_it_logs(
    loop_factory: LoopFactory,
    handle: Callable[[Callable[[logging.LogRecord], None]], Handler],
) -> None:
    """The line comes from within the server, which nobody else holds any more."""
    collected: list[int] = []

    def collect(record: logging.LogRecord) -> None:
        if "keep-alive" in record.getMessage():
            collected.append(gc.collect())

    async def main() -> None:
        server = Server(hello, port=0, lifespan="off", timeout_keep_alive=0.05)
        await server.startup()
        readers = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        del server
        for reader, writer in readers:
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    gc.collect()
    gc.disable()
    try:
        handle(collect)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
    finally:
        gc.enable()
    assert len(collected) >= 1
    assert collected[0] > 0


def test_lines_of_other_threads() -> None:
    said = in_a_process("""
        import threading
        logging.basicConfig(format="%(threadName)s %(levelname)s %(message)s", level="INFO")
        for gil in (True, False):
            thread = threading.Thread(target=_native.log, args=(20, f"gil={gil}", gil), name="T")
            thread.start()
            thread.join()
    """)
    assert said == "T INFO gil=True\nT INFO gil=False\n"


def test_the_end_of_the_interpreter() -> None:
    """Behind the last Python code that may run, standard error is left."""
    said = in_a_process("""
        logging.basicConfig(format="%(message)s")

        class Late:
            def __init__(self, log):
                self.log = log

            def __del__(self):
                self.log(30, "late")
                self.log(30, "later", False)

        sys.late = Late(_native.log)
        _native.log(30, "early")
    """)
    assert said == "early\nfasterapi: WARNING: late\nfasterapi: WARNING: later\n"


SECOND = """
import logging
logging.basicConfig(format="second %(message)s")
from fasterapi import _native
_native.log(30, "a")
_native.log(30, "b", False)
"""


def test_a_second_interpreter() -> None:
    """Each has its own logger; before 3.12 a thread cannot tell that it holds the GIL of one."""
    said = in_a_process(f"""
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        logging.basicConfig(format="first %(message)s")
        legacy = ("legacy",) if sys.version_info >= (3, 13) else ()
        isolated = {{}} if legacy else {{"isolated": False}}
        other = interpreters.create(*legacy, **isolated)
        interpreters.run_string(other, {SECOND!r})
        interpreters.destroy(other)
        _native.log(30, "c")
        _native.log(30, "d", False)
    """)
    second = "second" if sys.version_info >= (3, 12) else "fasterapi: WARNING:"
    assert said.splitlines() == [f"{second} a", f"{second} b", "first c", "first d"]
