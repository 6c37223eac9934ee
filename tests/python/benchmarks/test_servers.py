"""Contenders are started, watched and always ended, with real processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from fabench import guardian, idle, procfs, resets, servers, transfer, wire
from fabench.errors import ContenderFailed
from fabench.model import Request

BENCHMARKS = Path(servers.__file__).resolve().parents[1]

POLITE = """
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
"""

# The same with a child of its own, and deaf to polite signals.
STUBBORN = (
    """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    time.sleep(600)
"""
    + POLITE
)


def start(keeper: servers.Keeper, code: str) -> servers.Server:
    port = servers.free_port()
    return keeper.start([sys.executable, "-c", code, str(port)], port, dict(os.environ))


def test_started_pinned_and_ended_with_its_children(tmp_path: Path) -> None:
    with servers.Keeper(tmp_path) as keeper:
        server = start(keeper, STUBBORN)
        assert wire.ask(server.port, Request("/")).body == b"ok"
        assert len(procfs.session_members(server.session)) == 2
        assert os.sched_getaffinity(server.session) == {servers.SERVER_CORE}
        server.check_alive(Request("/"))
    assert procfs.session_members(server.session) == []


def test_own_affinity_is_untouched(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    with servers.pinned(servers.SERVER_CORE):
        assert os.sched_getaffinity(0) == {servers.SERVER_CORE}
    assert os.sched_getaffinity(0) == before


def test_a_server_that_ends_at_once_is_a_failure_with_its_output(tmp_path: Path) -> None:
    with servers.Keeper(tmp_path) as keeper, pytest.raises(ContenderFailed, match="no such thing"):
        start(keeper, "raise SystemExit('no such thing')")


def test_a_missing_program_is_a_failure(tmp_path: Path) -> None:
    with servers.Keeper(tmp_path) as keeper, pytest.raises(ContenderFailed, match="started"):
        keeper.start(["/nowhere/server"], 1, {})


def test_a_dead_server_is_noticed(tmp_path: Path) -> None:
    with servers.Keeper(tmp_path) as keeper:
        server = start(keeper, POLITE)
        os.killpg(server.session, signal.SIGKILL)
        os.waitid(os.P_PID, server.session, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ContenderFailed, match="died with -9"):
            server.check_alive(Request("/"))


def test_a_stopped_server_hangs(tmp_path: Path) -> None:
    with servers.Keeper(tmp_path) as keeper:
        server = start(keeper, POLITE)
        os.killpg(server.session, signal.SIGSTOP)
        with pytest.raises(ContenderFailed, match="hangs"):
            server.check_alive(Request("/"), timeout_s=0.3)


def test_sessions_left() -> None:
    assert guardian.sessions_left(["+5\n", "+7\n", "-5\n"]) == {7}
    assert guardian.sessions_left([]) == set()


def test_a_killed_harness_leaves_no_server(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from fabench import servers\n"
        "with servers.Keeper(Path(sys.argv[1])) as keeper:\n"
        "    port = servers.free_port()\n"
        "    command = [sys.executable, '-c', sys.argv[2], str(port)]\n"
        "    server = keeper.start(command, port, dict(os.environ))\n"
        "    print(server.session, flush=True)\n"
        "    time.sleep(600)\n"
    )
    harness = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), STUBBORN],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
    )
    with harness:
        assert harness.stdout is not None
        session = int(harness.stdout.readline())
        watched = os.pidfd_open(session)
        assert len(procfs.session_members(session)) == 2
        harness.kill()
    ended, _, _ = select.select([watched], [], [], 10)
    os.close(watched)
    assert ended
    deadline = time.monotonic() + 10
    while procfs.session_members(session) and time.monotonic() < deadline:
        os.sched_yield()
    assert procfs.session_members(session) == []


def test_resets_do_not_harm_a_good_server(tmp_path: Path) -> None:
    with servers.Keeper(tmp_path) as keeper:
        server = start(keeper, POLITE)
        resets.reset_wave(server.port, 10)
        server.check_alive(Request("/"))


def test_closed_connections_are_counted(tmp_path: Path) -> None:
    with servers.Keeper(tmp_path) as keeper:
        server = start(keeper, POLITE)
        connections = [wire.Connection(server.port) for _ in range(4)]
        for connection in connections:
            connection.ask(Request("/"))
        quiet = [connection.socket.fileno() for connection in connections]
        assert idle.count_closed(quiet) == 0
        keeper.stop(server)
        assert idle.count_closed(quiet) == 4
        for connection in connections:
            connection.socket.close()


def test_the_large_file_is_what_its_checksum_says(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    crc = transfer.make_file(path, 3 * transfer.MIB)
    content = path.read_bytes()
    assert len(content) == 3 * transfer.MIB
    assert zlib.crc32(content) == crc
    assert content[: transfer.MIB] != content[transfer.MIB : 2 * transfer.MIB]
