"""A server process under attack from its surroundings: signals under load, no descriptors."""

from __future__ import annotations

import os
import queue
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

from fault.peer import Closed, Peer, ask
from surface.command import Command, script

LOADED = """
import asyncio

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"].startswith("/slow"):
        print("begun", scope["path"], flush=True)
        await asyncio.sleep(0.5)
    body = scope["path"].encode() * 1000
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for at in range(0, len(body), 1000):
        await send({"type": "http.response.body", "body": body[at:at + 1000], "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body"})
"""

GREEDY = """
import os

held = []

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/take":
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as failure:
            body = str(failure.errno).encode()
    elif scope["path"] == "/give":
        while held:
            os.close(held.pop())
        body = b"given"
    else:
        body = b"fine"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

OWNED = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/held":
        print("held by", os.getpid(), flush=True)
        while (await receive()).get("more_body", False):
            pass
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""


class Load(threading.Thread):
    """Asks without end on one connection, then on another; keeps what went wrong."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.answers = 0
        self.answered = threading.Event()
        self.broken: list[str] = []
        self.refused = threading.Event()

    def run(self) -> None:
        while not self.refused.is_set():
            try:
                self._ask()
            except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
                # Not listening any more, or reset in the kernel's queue: not begun.
                self.refused.set()
            except Closed as closed:
                if closed.args[0]:
                    self.broken.append(repr(closed.args[0][:100]))

    def _ask(self) -> None:
        with Peer(self.port) as peer:
            while True:
                path = f"/load/{self.answers}"
                peer.request(path)
                answered = peer.answer()
                if answered.status != 200 or answered.body != path.encode() * 1000:
                    self.broken.append(f"{answered.status} {answered.body[:100]!r}")
                self.answers += 1
                self.answered.set()
                if answered.headers.get("connection") == "close":
                    return


class OwnedLoad(threading.Thread):
    """Asks on one connection after the other until it is stopped; each request that was lost is
    kept with the worker that had answered on its connection, None where nobody had."""

    def __init__(self, port: int, answers: queue.SimpleQueue[int]) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.answers = answers
        self.stop = threading.Event()
        self.lost: list[int | None] = []

    def run(self) -> None:
        while not self.stop.is_set():
            owner = None
            try:
                with Peer(self.port) as peer:
                    for _ in range(20):
                        peer.request("/")
                        owner = int(peer.answer().body)
                        self.answers.put(owner)
            except (Closed, ConnectionResetError, BrokenPipeError):
                self.lost.append(owner)


def connection_to_each(port: int, workers: int, stack: ExitStack) -> dict[int, Peer]:
    """A connection that has been answered on to each worker, by its process."""
    found: dict[int, Peer] = {}
    for _ in range(2000):
        peer = stack.enter_context(Peer(port))
        peer.request("/")
        owner = int(peer.answer().body)
        if found.setdefault(owner, peer) is not peer:
            peer.sock.close()
        if len(found) == workers:
            break
    assert len(found) == workers
    return found


def test_sigkill_under_load_takes_only_the_victims_requests(tmp_path: Path) -> None:
    (tmp_path / "owned.py").write_text(OWNED, encoding="utf-8")
    arguments = ("run", "owned:app", "--port", "0", "--workers", "2", "--no-access-log")
    with Command(tmp_path, script("fasterapi"), *arguments) as command, ExitStack() as stack:
        port = command.port()
        held = connection_to_each(port, 2, stack)
        victim, survivor = held
        for owner, peer in held.items():
            # The last byte is sent after the kill.
            peer.send(b"POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
            command.read_until(f"held by {owner}\n")
        answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        loads = [OwnedLoad(port, answers) for _ in range(4)]
        for load in loads:
            load.start()
        while answers.get(timeout=20) != victim:
            pass
        os.kill(victim, signal.SIGKILL)
        command.read_until(rf"Worker \[{victim}\] was killed by signal 9, starting another")
        # As many again, and on to the first of the worker that came instead.
        for _ in range(answers.qsize() + 500):
            answers.get(timeout=20)
        while answers.get(timeout=20) in (victim, survivor):
            pass
        for load in loads:
            load.stop.set()
        for load in loads:
            load.join(20)
            assert not load.is_alive()
            # One request at a time, so one at most, and of nobody but the worker that died.
            assert len(load.lost) <= 1
            assert set(load.lost) <= {victim, None}
        assert held[victim].rest() == b""
        held[survivor].send(b"x")
        assert int(held[survivor].answer().body) == survivor
        command.signal(signal.SIGTERM)
        assert command.finish() == 0


def test_sigterm_under_load_finishes_what_is_in_flight(tmp_path: Path) -> None:
    (tmp_path / "loaded.py").write_text(LOADED, encoding="utf-8")
    with Command(
        tmp_path, script("fasterapi"), "run", "loaded:app", "--port", "0", "--no-access-log"
    ) as command:
        port = command.port()
        loads = [Load(port) for _ in range(8)]
        for load in loads:
            load.start()
        for load in loads:
            assert load.answered.wait(20)
        slow = [Peer(port) for _ in range(20)]
        for i, peer in enumerate(slow):
            peer.request(f"/slow/{i}")
        for i in range(len(slow)):
            command.read_until(rf"begun /slow/{i}\n")
        command.signal(signal.SIGTERM)
        for i, peer in enumerate(slow):
            answered = peer.answer()
            assert answered.body == f"/slow/{i}".encode() * 1000
            assert answered.headers["connection"] == "close"
            assert peer.rest() == b""
            peer.sock.close()
        for load in loads:
            load.join(20)
            assert not load.is_alive()
            assert load.broken == []
        assert command.finish() == 128 + signal.SIGTERM


def test_without_descriptors_and_back(tmp_path: Path) -> None:
    """Clients are told so or wait, those that are connected are served, and it recovers."""
    (tmp_path / "greedy.py").write_text(GREEDY, encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n",
        encoding="utf-8",
    )
    with Command(
        tmp_path, script("fasterapi"), "run", "greedy:app", "--port", "0", PYTHONPATH=str(tmp_path)
    ) as command:
        port = command.port()
        with Peer(port) as old:
            old.request("/take")
            assert old.answer().body == b"24"  # EMFILE
            for _ in range(30):
                with Peer(port) as late:
                    assert late.rest().startswith(b"HTTP/1.1 503 ")
            # What the C library says goes where the rest of the log goes.
            command.read_until(r"(?m)^WARNING:  accepting a connection failed: .* \(errno 24\)$")
            command.read_until(r"WARNING: .* answered 503: no file descriptors are left\n")
            old.request("/still")
            assert old.answer().body == b"fine"
            old.request("/give")
            assert old.answer().body == b"given"
        for _ in range(30):
            assert ask(port).body == b"fine"
        command.signal(signal.SIGTERM)
        assert command.finish() == 128 + signal.SIGTERM


def test_more_connections_than_descriptors(tmp_path: Path) -> None:
    """The limit on connections follows the limit on descriptors, so the application keeps some."""
    (tmp_path / "greedy.py").write_text(GREEDY, encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n",
        encoding="utf-8",
    )
    with Command(
        tmp_path, script("fasterapi"), "run", "greedy:app", "--port", "0", PYTHONPATH=str(tmp_path)
    ) as command:
        port = command.port()
        first = Peer(port)
        peers = [Peer(port) for _ in range(100)]
        first.request("/fine")
        assert first.answer().body == b"fine"
        for peer in peers:
            peer.reset()
        first.request("/fine")
        assert first.answer().body == b"fine"
        first.sock.close()
        for _ in range(100):
            if ask(port).status == 200:
                break
        assert ask(port).body == b"fine"
        command.signal(signal.SIGTERM)
        assert command.finish() == 128 + signal.SIGTERM
