"""Python's memory runs out at every single allocation of a request, one after the other: the
server answers, or closes the connection, and serves on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asgi.wire import Connection

POST = b"POST /a%%20b?c=d HTTP/1.1\r\nHost: a\r\nX-%d: y\r\nContent-Length: 5\r\n\r\nhello"
NUMBER = b"GET /number HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = 150  # no request makes that many allocations


# Between requests asyncio's own tasks are lost when asyncio has no memory to call their step.
@pytest.mark.parametrize(
    ("where", "task_impl"), [("inside", "native"), ("inside", "asyncio"), ("between", "native")]
)
def test_every_allocation(where: str, task_impl: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "asgi.out_of_memory", where, task_impl],
        stdout=subprocess.PIPE,
        env=environment,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        answers = [ask(port, POST % number) for number in range(LAST)]
        with Connection(port) as client:
            assert int(client.ask(NUMBER).body) > LAST // 2
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    # Each answer is one of three: both requests served, one refused, or nothing more.
    statuses = [re.findall(rb"HTTP/1\.1 (\d+)", answer) for answer in answers]
    assert all(set(found) <= {b"200", b"500"} for found in statuses)
    assert any(b"500" in found for found in statuses)
    assert statuses[-1] == [b"200", b"200"]


def ask(port: int, request: bytes) -> bytes:
    """One request and behind it a second one, which ends the connection; all that came."""
    with Connection(port) as client:
        client.send(request + NUMBER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return client.rest()
