"""``fasterapi.run`` as the last line of a program."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from fasterapi import run
from surface.command import Command

Run = Callable[..., Command]


def test_it_serves_an_application_object_and_returns(execute: Run) -> None:
    command = execute(sys.executable, "program.py")
    assert int(httpx.get(f"http://127.0.0.1:{command.port()}/").text) == command.process.pid
    command.signal(signal.SIGINT)
    assert command.finish() == 0
    assert "shutdown ran" in command.output
    assert "behind the server" in command.output
    assert "Traceback" not in command.output


def test_a_second_ctrl_c_does_not_return(execute: Run) -> None:
    command = execute(sys.executable, "program.py")
    with socket.create_connection(("127.0.0.1", command.port())) as sock:
        sock.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        assert httpx.get(f"http://127.0.0.1:{command.port()}/").status_code == 200
        command.signal(signal.SIGINT)
        command.read_until("Waiting for connections to close")
        command.signal(signal.SIGINT)
        assert command.finish() == 0
    assert "behind the server" not in command.output


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"nonsense": 1}, TypeError),
        ({"root_path": "/\u00e9"}, ValueError),
        ({"sockets": []}, ValueError),
        ({"state": {"a": 1}}, ValueError),
    ],
)
def test_options_for_workers_are_checked_before_there_are_any(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        run("hello:app", workers=2, port=0, log_config=None, **options)
