"""Starting, watching and stopping a contender.

Each runs in a session and process group of its own, pinned to one core, its output in a
file. :class:`Keeper` stops whatever is still running when the program ends, and a
guardian process does so when the program is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from fabench import procfs, wire
from fabench.errors import ContenderFailed
from fabench.model import Request

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = _CORES[0]
LOAD_CORE = _CORES[1] if len(_CORES) > 1 else _CORES[0]

_START_S = 20.0
_STOP_S = 3.0
_POLL_S = 0.02


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Pins this thread, and so the processes it starts, to a core for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port nobody listens on now. Several peers cannot take 0, so all get a number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A running contender. Made by :meth:`Keeper.start`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._process = process
        self.port = port
        self._log = log

    @property
    def session(self) -> int:
        """The number of its session, which is the first process's own."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the first process still runs."""
        return self._process.poll() is None

    def cpu(self) -> procfs.Cpu:
        """CPU time used so far by all its processes."""
        return procfs.cpu_of(self.session)

    def rss_bytes(self) -> int:
        """Resident memory of all its processes."""
        return procfs.rss_of(self.session)

    def output(self) -> str:
        """The last lines it printed."""
        try:
            text = self._log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-8:])[-800:]

    def wait_until_ready(self, deadline: float) -> None:
        """Returns once it accepts connections. Raises ContenderFailed."""
        while True:
            if not self.alive():
                raise ContenderFailed(
                    f"ended at start-up with {self._process.returncode}: {self.output()}"
                )
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise ContenderFailed(f"does not listen: {self.output()}") from None
            time.sleep(_POLL_S)

    def check_alive(self, request: Request, timeout_s: float = 3.0) -> None:
        """Raises ContenderFailed when it died or no longer answers."""
        if not self.alive():
            raise ContenderFailed(f"died with {self._process.returncode}: {self.output()}")
        try:
            wire.ask(self.port, request, timeout_s)
        except ContenderFailed as error:
            raise ContenderFailed(f"hangs: {error}") from None

    def stop(self) -> None:
        """Ends every process of it: politely, then not."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while procfs.session_members(self.session) and time.monotonic() < deadline:
            self._process.poll()
            time.sleep(_POLL_S)
        self._signal(signal.SIGKILL)
        self._process.wait(timeout=10)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.session, number)


class Keeper:
    """Starts servers and leaves none behind. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Server] = []
        self._guardian: subprocess.Popen[str] | None = None

    def __enter__(self) -> Keeper:
        self._guardian = subprocess.Popen(
            [sys.executable, "-S", str(Path(__file__).with_name("guardian.py"))],
            stdin=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in list(self._running):
            self.stop(server)
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            self._guardian.wait(timeout=10)

    def start(
        self,
        command: Sequence[str],
        port: int,
        environment: Mapping[str, str],
        core: int = SERVER_CORE,
    ) -> Server:
        """Starts a command pinned to a core and waits until it listens on ``port``.

        Raises ContenderFailed when it ends or does not listen within 20 s.
        """
        log = self._folder / f"server-{port}.log"
        with log.open("wb") as output, pinned(core):
            try:
                process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    env=dict(environment),
                    start_new_session=True,
                )
            except OSError as error:
                raise ContenderFailed(f"cannot be started: {error}") from None
        self._tell(f"+{process.pid}")
        server = Server(process, port, log)
        self._running.append(server)
        try:
            server.wait_until_ready(time.monotonic() + _START_S)
        except ContenderFailed:
            self.stop(server)
            raise
        return server

    def stop(self, server: Server) -> None:
        """Stops a server; again is allowed."""
        if server in self._running:
            self._running.remove(server)
            server.stop()
            self._tell(f"-{server.session}")

    def _tell(self, line: str) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.write(line + "\n")
