"""The listeners of a supervisor."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from fasterapi._listen import ListenError, bind_sockets, describe


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
