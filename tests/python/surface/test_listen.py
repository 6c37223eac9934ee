"""The listeners of a supervisor, and Unix sockets that a single server cannot listen on."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from fasterapi._listen import ListenError, bind_sockets, describe
from fasterapi.server import Server
from surface.conftest import Run


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def test_port_0_is_chosen_and_described() -> None:
    sockets = bind_sockets(host="127.0.0.1", port=0)
    try:
        port = sockets[0].getsockname()[1]
        assert port > 0
        assert describe(sockets) == f"http://127.0.0.1:{port}"
        assert not sockets[0].get_inheritable()
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
    finally:
        _close(sockets)


def test_a_busy_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: the address is already in use"):
            bind_sockets(host="127.0.0.1", port=port)


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(ListenError, match="cannot resolve host"):
        bind_sockets(host="no-such-host.invalid", port=0)


def test_a_descriptor_that_is_no_socket(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file, pytest.raises(ListenError, match="is no socket"):
        bind_sockets(host=None, port=0, fd=file.fileno())


def test_a_unix_socket_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "s"
    sockets = bind_sockets(host=None, port=0, uds=str(path))
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        with pytest.raises(ListenError, match="already in use"):
            bind_sockets(host=None, port=0, uds=str(path))
    finally:
        _close(sockets)
    # Nobody listens any more: the stale file is replaced.
    _close(bind_sockets(host=None, port=0, uds=str(path)))


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(ListenError, match="no socket"):
        bind_sockets(host=None, port=0, uds=str(path))
    assert path.read_text() == "precious"


def _resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these IPv4 addresses."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 0))
        for address in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)


def test_an_address_that_this_machine_has_not_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to(monkeypatch, "192.0.2.1", "127.0.0.1")  # RFC 5737: nobody has the first
    sockets = bind_sockets(host="both", port=0)
    assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.1"]
    _close(sockets)


def test_no_address_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to(monkeypatch, "192.0.2.1")
    with pytest.raises(ListenError, match="cannot listen on both:0: Cannot assign"):
        bind_sockets(host="both", port=0)


def test_port_0_is_the_same_for_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    sockets = bind_sockets(host="both", port=0)
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    assert len(sockets) == 2
    _close(sockets)


@pytest.mark.parametrize("host", ["a" * 70, ".x", "a..b"])
def test_a_host_that_can_be_no_name(host: str) -> None:
    with pytest.raises(ListenError, match="cannot resolve host"):
        bind_sockets(host=host, port=0)


def test_a_stale_file_that_may_not_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "s")
    _close(bind_sockets(host=None, port=0, uds=path))

    def forbidden(path: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "unlink", forbidden)
    with pytest.raises(ListenError, match="Operation not permitted"):
        bind_sockets(host=None, port=0, uds=path)


def test_a_full_queue_is_no_stale_file(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(path)
        busy.listen(0)
        first.connect(path)
        with pytest.raises(ListenError, match="already in use"):
            bind_sockets(host=None, port=0, uds=path)


@pytest.fixture(params=["a regular file", "a missing folder", "a folder", "too long", "empty"])
def bad_path(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, int]:
    """A path where no socket can be, and the errno that says why."""
    (tmp_path / "file").write_text("precious")
    return {
        "a regular file": (str(tmp_path / "file"), errno.EEXIST),
        "a missing folder": (str(tmp_path / "missing" / "s"), errno.ENOENT),
        "a folder": (str(tmp_path), errno.EEXIST),
        "too long": (str(tmp_path / ("s" * 108)), errno.ENAMETOOLONG),
        "empty": ("", errno.EINVAL),
    }[request.param]


def test_a_server_says_why_it_cannot_listen(
    bad_path: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    path, number = bad_path

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    server = Server(app, uds=path, lifespan="off")
    asyncio.run(server.serve())
    assert not server.started
    assert isinstance(server.startup_error, OSError)
    assert server.startup_error.errno == number
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == f"cannot listen on {path}: {os.strerror(number)}"


def test_the_command_says_why_it_cannot_listen(run: Run, bad_path: tuple[str, int]) -> None:
    path, number = bad_path
    command = run("run", "hello:app", "--uds", path)
    assert command.finish() == 3
    assert f"cannot listen on {path}: {os.strerror(number)}" in command.output
    assert "Traceback" not in command.output
