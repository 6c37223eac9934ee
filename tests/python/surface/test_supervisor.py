"""Several workers on one listener: killed, replaced, drained."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from fasterapi._supervisor import Supervisor, _Worker
from surface.command import TIMEOUT_S, Command

Run = Callable[..., Command]


def _ask(port: int, path: str = "/") -> str:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=20).text


def _is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits for its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _children(parent: int) -> set[int]:
    """The processes that ``parent`` has started and that still run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        # It may end while it is looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, ppid = path.read_text().rpartition(")")[2].split()[:2]
            if int(ppid) == parent and state != "Z":
                found.add(int(path.parent.name))
    return found


def _workers_seen(port: int, wanted: int) -> set[int]:
    seen: set[int] = set()
    for _ in range(2000):
        seen.add(int(_ask(port)))
        if len(seen) == wanted:
            break
    return seen


def _replacements(supervisor: int, before: set[int]) -> set[int]:
    """Wait until as many workers as ``before`` run, all of them others; the last ones seen."""
    deadline = time.monotonic() + TIMEOUT_S
    while len(found := _children(supervisor)) != len(before) or found & before:
        assert time.monotonic() < deadline, f"from {before} to {found}"
    return found


def test_every_worker_answers_on_the_one_listener(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    pids = _workers_seen(command.port(), 2)
    assert len(pids) == 2
    assert command.process.pid not in pids
    command.signal(signal.SIGTERM)
    assert command.finish() == 0
    assert command.output.count("shutdown ran") == 2
    assert not any(_is_alive(pid) for pid in pids)


def test_the_supervisor_does_not_import_the_application(run: Run, folder: Path) -> None:
    command = run("run", "noted:app", "--port", "0", "--workers", "2", "--no-access-log")
    workers = _workers_seen(command.port(), 2)
    assert {int(pid) for pid in (folder / "pids").read_text().split()} == workers
    assert command.process.pid not in workers
    command.signal(signal.SIGINT)
    assert command.finish() == 0


@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_a_second_ctrl_c_kills_the_workers(run: Run, kill: Callable[[int, int], None]) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    pids = _workers_seen(port, 2)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        # The same worker has this connection, and will not be done with it.
        sock.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        kill(command.process.pid, signal.SIGINT)
        command.read_until("Waiting for connections to close")
        kill(command.process.pid, signal.SIGINT)
        assert command.finish() == 0
    assert not any(map(_is_alive, pids))
    assert "starting another" not in command.output


def test_sigttin_adds_a_worker_and_sigttou_removes_one(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    before = _workers_seen(port, 2)
    command.signal(signal.SIGTTIN)
    (added,) = _workers_seen(port, 3) - before
    command.signal(signal.SIGTTOU)
    command.read_until(rf"Finished server process \[{added}\]")
    command.signal(signal.SIGTTOU)
    gone = command.read_until(rf"Finished server process \[(?!{added}\])(\d+)\]")
    (last,) = before - {int(gone.group(1))}
    # The last one stays.
    command.signal(signal.SIGTTOU)
    command.read_until("(?s)(Received SIGTTOU.*){3}")
    assert {int(_ask(port)) for _ in range(20)} == {last}
    command.signal(signal.SIGTERM)
    assert command.finish() == 0
    assert "starting another" not in command.output


def test_a_worker_that_dies_at_once_is_replaced_more_and_more_slowly(
    run: Run, folder: Path
) -> None:
    command = run("run", "dying:app", "--port", "0", "--workers", "2")
    command.read_until("(?s)(exited with code 5, starting another.*){4}")
    starts = sorted(map(float, (folder / "starts").read_text().split()))
    # The first replacement comes at once; the fourth process waits a second from the second death.
    assert starts[3] - starts[1] >= 1.0
    # A signal does not wait for the next one to be due.
    command.signal(signal.SIGTERM)
    assert command.finish() == 0


def test_the_delay_of_a_worker_that_never_lives_has_an_end() -> None:
    supervisor = Supervisor({}, [], 1)
    dead = _Worker(subprocess.Popen(["true"]), socket.socket(), time.monotonic())
    dead.process.wait()
    delays = []
    for _ in range(2000):
        supervisor._restart_at = None
        supervisor._schedule_restart(dead)
        assert supervisor._restart_at is not None
        delays.append(supervisor._restart_at - time.monotonic())
    dead.control.close()
    assert delays[0] <= 0
    assert 29 < delays[-1] <= 30


def test_of_several_deaths_at_once_the_first_sets_the_time() -> None:
    supervisor = Supervisor({}, [], 8)
    dead = _Worker(subprocess.Popen(["true"]), socket.socket(), time.monotonic())
    dead.process.wait()
    for _ in range(8):
        supervisor._schedule_restart(dead)
    dead.control.close()
    assert supervisor._restart_at is not None
    assert supervisor._restart_at <= time.monotonic()


def test_an_inherited_unix_socket_keeps_its_file(run: Run, folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen()
        fd = theirs.fileno()
        command = run("run", "hello:app", "--fd", str(fd), "--workers", "2", pass_fds=[fd])
        command.read_until("Application startup complete")
        command.signal(signal.SIGTERM)
        assert command.finish() == 0
    assert path.exists()


def test_without_another_process_the_others_serve_on(run: Run, folder: Path) -> None:
    """RLIMIT_NPROC does not bind root; a command that is not there fails as early."""
    supervisor = Supervisor({}, [], 1)
    before, sys.executable = sys.executable, str(folder / "no-python")
    try:
        assert not supervisor._start()
    finally:
        sys.executable = before
    assert supervisor._alive == []
    assert supervisor._restart_at is not None


def test_the_socket_file_of_a_successor_is_left_alone(run: Run, folder: Path) -> None:
    path = folder / "s"
    command = run("run", "hello:app", "--uds", str(path), "--workers", "2")
    command.read_until("Application startup complete")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        command.signal(signal.SIGTERM)
        assert command.finish() == 0
        assert path.exists()


def test_sigttou_while_no_worker_is_alive(run: Run) -> None:
    command = run("run", "dying:app", "--port", "0", "--workers", "2")
    command.read_until("(?s)(exited with code 5, starting another.*){3}")
    while _children(command.process.pid):
        pass
    command.signal(signal.SIGTTOU)
    command.read_until("Received SIGTTOU")
    command.signal(signal.SIGTERM)
    assert command.finish() == 0
    assert "Traceback" not in command.output


def test_a_worker_that_served_its_number_of_requests_is_replaced_at_once(run: Run) -> None:
    command = run(
        "run", "hello:app", "--port", "0", "--workers", "2", "--limit-max-requests", "3"
    )  # fmt: skip
    port = command.port()
    # Were these deaths, the replacements would come later and later: minutes for all of them.
    pids: set[int] = set()
    for _ in range(30):
        # A connection that comes while a worker drains may find it closing.
        with contextlib.suppress(httpx.RemoteProtocolError):
            pids.add(int(_ask(port)))
    assert len(pids) > 4
    command.read_until("Maximum request limit of 3 exceeded")
    command.read_until(r"INFO: +Worker \[\d+\] has ended, starting another")
    command.signal(signal.SIGTERM)
    assert command.finish() == 0
    assert "ERROR" not in command.output


def test_a_killed_worker_is_replaced_and_the_other_serves_on(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    before = _workers_seen(port, 2)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    command.read_until(rf"Worker \[{victim}\] was killed by signal 9, starting another")
    after = _workers_seen(port, 2) - {victim}
    assert len(after | before) == 3
    command.signal(signal.SIGINT)
    assert command.finish() == 0


def test_a_kill_under_load_takes_only_the_victims_requests(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    victim = min(_workers_seen(port, 2))
    stop = threading.Event()
    lost: list[str] = []
    answered: list[int] = []

    def client() -> None:
        # One connection at a time, each with the worker that answers on it noted.
        owner = 0
        while not stop.is_set():
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as session:
                    for _ in range(20):
                        owner = int(session.get("/").text)
                        answered.append(owner)
            except httpx.TransportError as exc:
                lost.append(f"{owner}: {exc!r}")

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        while victim not in answered:
            pass
        os.kill(victim, signal.SIGKILL)
        command.read_until("starting another")
        count = len(answered)
        while len(answered) < count + 500:
            pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    # At most one request in flight a client, and only on the worker that died.
    assert len(lost) <= len(threads), lost


def test_sighup_replaces_every_worker_without_a_gap(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    before = _workers_seen(port, 2)
    command.signal(signal.SIGHUP)
    for _ in range(5000):
        if int(_ask(port)) not in before and not any(map(_is_alive, before)):
            break
    after = _workers_seen(port, 2)
    assert not after & before
    command.signal(signal.SIGTERM)
    assert command.finish() == 0


def test_sighup_keeps_the_old_workers_when_new_ones_do_not_start(run: Run, folder: Path) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    before = _workers_seen(port, 2)
    good = (folder / "hello.py").read_text()
    (folder / "hello.py").write_text("import a_module_that_is_not_there")
    command.signal(signal.SIGHUP)
    command.read_until("failed to start; the old ones go on")
    assert _workers_seen(port, 2) == before
    (folder / "hello.py").write_text(good)
    command.signal(signal.SIGHUP)
    after = _replacements(command.process.pid, before)
    assert _workers_seen(port, 2) == after
    command.signal(signal.SIGTERM)
    assert command.finish() == 0
    assert "starting another" not in command.output


def test_two_sighups_leave_as_many_workers_as_before(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    before = _workers_seen(port, 2)
    command.signal(signal.SIGHUP)
    command.read_until("Received SIGHUP")
    command.signal(signal.SIGHUP)
    after = _replacements(command.process.pid, before)
    assert _workers_seen(port, 2) == after
    command.signal(signal.SIGTERM)
    assert command.finish() == 0


def test_workers_leave_when_the_supervisor_is_killed(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    workers = [os.pidfd_open(pid) for pid in _workers_seen(command.port(), 2)]
    try:
        command.signal(signal.SIGKILL)
        # The workers hold the output open: it ends when the last of them leaves.
        assert command.finish() == 128 + signal.SIGKILL
        for worker in workers:
            gone, _, _ = select.select([worker], [], [], 20)
            assert gone, "a worker outlives its supervisor"
    finally:
        for worker in workers:
            os.close(worker)


def test_a_ctrl_c_is_the_supervisors_to_answer(run: Run) -> None:
    """It reaches the whole process group; a worker alone takes no notice of it."""
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    workers = _workers_seen(port, 2)
    for worker in workers:
        os.kill(worker, signal.SIGINT)
    assert _workers_seen(port, 2) == workers
    command.signal(signal.SIGINT)
    assert command.finish() == 0
    assert command.output.count("shutdown ran") == 2


def test_a_start_up_that_fails_stops_everything(run: Run) -> None:
    command = run("run", "broken_startup:app", "--port", "0", "--workers", "2", "--lifespan", "on")
    assert command.finish() == 3
    assert "failed to start, stopping." in command.output


def test_an_application_object_cannot_have_workers(run: Run) -> None:
    from fasterapi._run import run as serve

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("never served")

    try:
        serve(app, workers=2, log_config=None)
    except SystemExit as exc:
        assert exc.code == 3
    else:
        raise AssertionError("it ran")


def test_sigterm_lets_a_slow_request_finish(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", "2", "--no-access-log")
    port = command.port()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        # The same worker has this connection; the request is in its hands for half a second.
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        command.signal(signal.SIGTERM)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
    assert command.finish() == 0
