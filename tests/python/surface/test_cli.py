"""``fasterapi run`` from the outside: what it says and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from surface.command import Command, script

Run = Callable[..., Command]


def test_it_serves_from_the_current_folder_and_a_ctrl_c_drains(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0")
    assert httpx.get(f"http://127.0.0.1:{command.port()}/").status_code == 200
    command.signal(signal.SIGINT)
    assert command.finish() == 0
    assert "shutdown ran" in command.output
    assert "Traceback" not in command.output


def test_the_module_is_the_command(execute: Run) -> None:
    command = execute(sys.executable, "-m", "fasterapi", "run", "hello:app", "--port", "0")
    assert httpx.get(f"http://127.0.0.1:{command.port()}/").status_code == 200
    command.signal(signal.SIGINT)
    assert command.finish() == 0


def test_sigterm_drains_what_is_in_flight_and_ends_by_the_signal(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0")
    address = ("127.0.0.1", command.port())
    with socket.create_connection(address, 20) as slow:
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        with socket.create_connection(address, 20) as probe:
            # The server has the slow request once it has answered one that came later.
            probe.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert probe.recv(100).startswith(b"HTTP/1.1 200")
        command.signal(signal.SIGTERM)
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
    assert command.finish() == 128 + signal.SIGTERM
    assert "shutdown ran" in command.output


def test_a_second_ctrl_c_stops_at_once(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0")
    with socket.create_connection(("127.0.0.1", command.port())) as sock:
        sock.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        assert httpx.get(f"http://127.0.0.1:{command.port()}/").status_code == 200
        command.signal(signal.SIGINT)
        command.read_until("Shutting down")
        command.signal(signal.SIGINT)
        assert command.finish() == 0
    assert "shutdown ran" not in command.output


@pytest.mark.parametrize("path", ["/def", "/executor"])
def test_a_second_ctrl_c_does_not_wait_for_a_thread(run: Run, path: str) -> None:
    command = run("run", "blocked:app", "--port", "0", PYTHONUNBUFFERED="")
    with socket.create_connection(("127.0.0.1", command.port())) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        command.read_until("blocked in")
        command.signal(signal.SIGINT)
        command.read_until("Waiting for connections to close")
        command.signal(signal.SIGINT)
        # The thread is blocked for an hour.
        assert command.finish() == 0
    assert "Finished server process" in command.output
    assert "in the buffer" in command.output
    assert "Traceback" not in command.output


def test_a_second_ctrl_c_does_not_wait_for_a_start_up(run: Run) -> None:
    command = run("run", "hanging:app", "--port", "0", HANGS_AT="startup")
    command.read_until("the application hangs")
    command.signal(signal.SIGINT)
    command.read_until("the server has the signal")
    command.signal(signal.SIGINT)
    assert command.finish() == 3
    assert "running on" not in command.output
    assert "Traceback" not in command.output


def test_a_second_ctrl_c_does_not_wait_for_a_shutdown(run: Run) -> None:
    command = run("run", "hanging:app", "--port", "0", HANGS_AT="shutdown")
    command.read_until("running on")
    command.signal(signal.SIGINT)
    command.read_until("the application hangs")
    command.signal(signal.SIGINT)
    assert command.finish() == 0
    assert "Traceback" not in command.output


def test_a_ctrl_c_ends_the_wait_for_a_thread_that_the_drain_gave_up_on(run: Run) -> None:
    command = run("run", "blocked:app", "--port", "0", "--timeout-graceful-shutdown", "0")
    with socket.create_connection(("127.0.0.1", command.port())) as sock:
        sock.sendall(b"GET /executor HTTP/1.1\r\nHost: a\r\n\r\n")
        command.read_until("blocked in")
        command.signal(signal.SIGINT)
        command.read_until("the loop closes")
        command.signal(signal.SIGINT)
        assert command.finish() == 0
    assert "Traceback" not in command.output


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nowhere:app", 'Could not import module "nowhere".'),
        ("hello:nothing", 'Attribute "nothing" not found in module "hello".'),
        ("hello", 'write it as "<module>:<attribute>"'),
        ("hello:not_callable", "not an ASGI application"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(run: Run, spec: str, sentence: str) -> None:
    command = run("run", spec, "--port", "0")
    assert command.finish() == 3
    assert sentence in command.output
    assert "Traceback" not in command.output


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("broken_import:app", "No module named 'a_module_that_is_not_there'"),
        ("broken_body:app", "LookupError: import went wrong"),
    ],
)
def test_errors_in_the_users_module_keep_their_traceback(run: Run, spec: str, error: str) -> None:
    command = run("run", spec, "--port", "0")
    assert command.finish() != 0
    assert error in command.output
    assert "Traceback" in command.output
    assert spec.split(":")[0] + ".py" in command.output


@pytest.mark.parametrize("module", ["broken_startup", "broken_startup_fastapi"])
def test_a_failing_start_up_ends_the_process_with_its_traceback(run: Run, module: str) -> None:
    command = run("run", f"{module}:app", "--port", "0", "--lifespan", "on")
    assert command.finish() == 3
    assert "LookupError: no database today" in command.output
    assert "running on" not in command.output


def test_a_fastapi_application_that_fails_to_start_ends_as_under_uvicorn(
    run: Run, execute: Run
) -> None:
    arguments = ("broken_startup_fastapi:app", "--port", "0")
    ours, theirs = run("run", *arguments), execute(script("uvicorn"), *arguments)
    assert ours.finish() == theirs.finish() == 3
    assert "LookupError: no database today" in ours.output
    assert "broken_startup_fastapi.py" in ours.output
    # Line by line, but for the number of the process.
    assert re.sub(r"\[\d+\]", "", ours.output) == re.sub(r"\[\d+\]", "", theirs.output)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_busy_port_is_one_sentence(run: Run, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = run("run", "hello:app", "--port", port, "--workers", workers)
        assert command.finish() == 3
    assert f"127.0.0.1:{port}: the address is already in use" in command.output
    assert "Traceback" not in command.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ssl-keyfile", "key.pem"), "TLS is not built in yet"),
        (("--port", "70000"), "is not a port"),
        (("--workers", "0"), "is less than 1"),
        (("--no-such-option",), "unrecognized arguments"),
        (("--log-level", "loud"), "invalid choice"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    run: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    command = run("run", "hello:app", *arguments)
    assert command.finish() == 2
    assert sentence in command.output
    assert "Traceback" not in command.output


@pytest.mark.parametrize("arguments", [("--version",), ("run", "--version")])
def test_version_names_what_is_compiled_in(run: Run, arguments: tuple[str, ...]) -> None:
    command = run(*arguments)
    assert command.finish() == 0
    assert re.search(r"fasterapi \d+\.\d+\.\d+", command.output)
    assert "epoll" in command.output


def test_a_factory_and_a_nested_attribute(run: Run) -> None:
    for arguments in (("hello:make", "--factory"), ("hello:Namespace.inner",)):
        command = run("run", *arguments, "--port", "0")
        assert httpx.get(f"http://127.0.0.1:{command.port()}/").status_code == 200
        command.signal(signal.SIGINT)
        assert command.finish() == 0


def test_the_access_log_and_its_absence(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0")
    httpx.get(f"http://127.0.0.1:{command.port()}/a%20b?c=d")
    command.read_until(r'127\.0\.0\.1:\d+ - "GET /a%20b\?c=d HTTP/1\.1" 200 OK')
    quiet = run("run", "hello:app", "--port", "0", "--no-access-log")
    httpx.get(f"http://127.0.0.1:{quiet.port()}/quiet")
    quiet.signal(signal.SIGINT)
    quiet.finish()
    assert "/quiet" not in quiet.output


def test_a_unix_socket_is_served_and_removed(run: Run, folder: Path) -> None:
    path = folder / "s"
    command = run("run", "hello:app", "--uds", str(path))
    command.read_until("running on unix socket")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.get("http://shop/").status_code == 200
    command.signal(signal.SIGINT)
    assert command.finish() == 0
    assert not path.exists()
