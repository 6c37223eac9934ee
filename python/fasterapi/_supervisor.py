"""Several worker processes on one listener, kept alive by a parent that never imports the
application.

Each worker is a fresh interpreter (nothing of the parent's threads, locks or descriptors but
the listener and one control socket), told what to do by one JSON line on that socket. It says
``ready`` once it serves. When the parent dies the socket closes and the worker drains.

    STARTING -> (ready) SERVING -> (SIGTERM, or "retire" while others serve on) DRAINING -> gone
    SERVING  -> (ends by itself, as at --limit-max-requests) replaced at once
    any      -> (dies)  replaced, later each time it dies young

Signals: SIGTERM and the first SIGINT drain, the second SIGINT kills; SIGHUP replaces one
worker after the other, each new one ready before the old one drains; SIGTTIN and SIGTTOU add and
remove a worker.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

__all__ = ["STARTUP_FAILURE", "Supervisor"]

logger = logging.getLogger("fasterapi")

STARTUP_FAILURE = 3  # the exit code of a server that never served, uvicorn's too

_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)
_YOUNG_S = 5.0  # a worker that dies younger than this is replaced with growing delay
_DELAY_MAX_S = 30.0
_DELAY_DOUBLINGS = 8  # beyond this the delay is at its longest anyway
_KILL_MARGIN_S = 5.0  # beyond the workers' own graceful time-out


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    control: socket.socket
    started_at: float
    ready: bool = False
    draining: bool = False
    replaces: _Worker | None = None
    replacement: bool = False
    """Started for one that may be gone by now."""


@dataclass
class Supervisor:
    """Runs ``workers`` processes until a signal ends them. Use it once, from the main thread.

    ``sockets`` are bound and listening; they are closed when the supervisor returns, and with
    ``remove_files`` the files of Unix sockets go with them.
    ``settings`` is what a worker needs (see ``fasterapi._worker``) and must be JSON;
    ``grace_s`` is the workers' graceful time-out in seconds, None for none.
    """

    settings: dict[str, Any]
    sockets: list[socket.socket]
    workers: int
    grace_s: float | None = 30.0
    remove_files: bool = False
    _alive: list[_Worker] = field(default_factory=list)
    _target: int = 0
    _stopping: bool = False
    _kill_at: float | None = None
    _restart_at: float | None = None
    _young_deaths: int = 0
    _exit_code: int = 0
    _to_replace: list[_Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._identities = [_identity(sock) if self.remove_files else None for sock in self.sockets]

    def run(self) -> int:
        """Serve until told to stop; returns the exit code for the process."""
        self._target = self.workers
        self._message = json.dumps(self.settings).encode() + b"\n"
        self._selector = selectors.DefaultSelector()
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        # The handlers do nothing: the wake-up socket carries the numbers to the loop below,
        # where nothing is interrupted half-way.
        before = {number: signal.signal(number, _ignore) for number in _SIGNALS}
        wake_before = signal.set_wakeup_fd(wake_write.fileno())
        try:
            logger.info("Started parent process [%d]", os.getpid())
            self._fill()
            while self._alive or not self._stopping:
                self._turn(wake_read)
            logger.info("Stopping parent process [%d]", os.getpid())
        finally:
            self._kill_all()
            signal.set_wakeup_fd(wake_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            wake_read.close()
            wake_write.close()
            self._close_sockets()
        return self._exit_code

    # ---- one turn ----------------------------------------------------------------------

    def _turn(self, wake_read: socket.socket) -> None:
        for key, _ in self._selector.select(self._timeout()):
            if key.data is None:
                for number in wake_read.recv(4096):
                    self._on_signal(number)
            else:
                self._on_control(key.data)
        self._reap()
        self._trim()
        self._replace_next()
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            logger.error("Graceful shutdown took too long, killing the workers")
            self._kill_all()
        if self._restart_at is not None and now >= self._restart_at:
            self._restart_at = None
            self._fill()

    def _timeout(self) -> float | None:
        times = [t for t in (self._kill_at, self._restart_at) if t is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGINT and self._stopping:
            self._kill_all()
        elif number in (signal.SIGINT, signal.SIGTERM):
            if not self._stopping:
                logger.info("Received %s, exiting.", signal.Signals(number).name)
            self._stop()
        elif number == signal.SIGHUP and not self._stopping:
            logger.info("Received SIGHUP, replacing the workers.")
            self._replace_all()
        elif number == signal.SIGTTIN and not self._stopping:
            logger.info("Received SIGTTIN, adding a worker.")
            self._target += 1
            self._fill()
        elif number == signal.SIGTTOU and not self._stopping:
            logger.info("Received SIGTTOU, removing a worker unless it is the last.")
            self._target = max(1, self._target - 1)

    def _on_control(self, worker: _Worker) -> None:
        try:
            data = worker.control.recv(4096)
        except OSError:
            data = b""
        if not data:  # the worker is on its way out; SIGCHLD tells the rest
            self._selector.unregister(worker.control)
            return
        if b"ready\n" in data and not worker.ready:
            worker.ready = True
            if worker.replaces is not None:
                self._drain(worker.replaces)
                worker.replaces = None

    # ---- workers ------------------------------------------------------------------------

    def _fill(self) -> None:
        while not self._stopping and len(self._serving()) < self._target:
            if not self._start():
                return

    def _trim(self) -> None:
        for worker in self._serving()[self._target :]:
            self._drain(worker)

    def _serving(self) -> list[_Worker]:
        return [w for w in self._alive if not w.draining and w.replaces is None]

    def _start(self, replaces: _Worker | None = None) -> bool:
        """Start a worker; False where the system has no room for one, and then later again."""
        try:
            process, control = self._spawn()
        except OSError as exc:
            # Those that serve go on meanwhile.
            logger.error("Cannot start a worker: %s", exc.strerror or exc)
            self._to_replace = []
            self._restart_at = time.monotonic() + _DELAY_MAX_S
            return False
        worker = _Worker(process, control, time.monotonic(), replaces=replaces)
        worker.replacement = replaces is not None
        self._alive.append(worker)
        try:
            control.sendall(self._message)
        except OSError:
            logger.error("Worker [%d] died before it took its settings", process.pid)
        control.setblocking(False)
        self._selector.register(control, selectors.EVENT_READ, worker)
        return True

    def _spawn(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """A worker process and our end of its control socket. Raises ``OSError``."""
        ours, theirs = socket.socketpair()
        with theirs:
            listeners = [sock.fileno() for sock in self.sockets]
            command = [
                sys.executable,
                # The flags that multiprocessing hands on too: -O, -W, -X ...
                *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                "-P",
                "-m",
                "fasterapi._worker",
                str(theirs.fileno()),
                *map(str, listeners),
            ]
            try:
                return subprocess.Popen(command, pass_fds=[theirs.fileno(), *listeners]), ours
            except OSError:
                ours.close()
                raise

    def _drain(self, worker: _Worker) -> None:
        lives = not worker.draining and worker.process.poll() is None
        if lives and (self._stopping or not self._retire(worker)):
            worker.process.send_signal(signal.SIGTERM)
        worker.draining = True

    def _retire(self, worker: _Worker) -> bool:
        """Tell a worker to drain and to leave the connections that wait to the others."""
        if not worker.ready:
            return False  # it does not listen to this yet
        try:
            worker.control.send(b"retire\n")
        except OSError:
            return False
        return True

    def _replace_all(self) -> None:
        for worker in self._alive:
            if worker.replaces is not None:
                # On its way since an earlier signal, it may have imported what was there then.
                worker.replaces = None
                self._drain(worker)
        self._to_replace = [w for w in self._alive if not w.draining]

    def _replace_next(self) -> None:
        # One at a time: its replacement ends the loop.
        while self._to_replace and not self._stopping and not self._replacing():
            old = self._to_replace.pop(0)
            if old in self._alive and not old.draining:
                self._start(replaces=old)

    def _replacing(self) -> bool:
        return any(w.replaces is not None for w in self._alive)

    def _reap(self) -> None:
        for worker in [w for w in self._alive if w.process.poll() is not None]:
            self._alive.remove(worker)
            if worker.control in self._selector.get_map():
                self._selector.unregister(worker.control)
            worker.control.close()
            for other in self._alive:
                if other.replaces is worker:
                    other.replaces = None  # it fills the place already
            self._on_death(worker)

    def _on_death(self, worker: _Worker) -> None:
        code = worker.process.returncode
        if worker.draining or self._stopping:
            return
        pid = worker.process.pid
        if worker.replacement and not worker.ready:
            logger.error("New worker [%d] failed to start; the old ones go on", pid)
            self._to_replace = []
            if worker.replaces is None:  # but the one whose place it was to take
                self._schedule_restart(worker)
        elif code == STARTUP_FAILURE and not any(w.ready for w in (worker, *self._alive)):
            logger.error("Worker [%d] failed to start, stopping.", pid)
            self._exit_code = STARTUP_FAILURE
            self._stop()
        elif code == 0 and worker.ready:
            logger.info("Worker [%d] has ended, starting another", pid)
            self._fill()
        else:
            how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
            logger.error("Worker [%d] %s, starting another", pid, how)
            self._schedule_restart(worker)

    def _schedule_restart(self, worker: _Worker) -> None:
        now = time.monotonic()
        if now - worker.started_at >= _YOUNG_S:
            self._young_deaths = 0
            self._fill()
            return
        # The first replacement is immediate; a worker that goes on dying at once would
        # otherwise burn a core.
        delay = 0.0 if self._young_deaths == 0 else min(_DELAY_MAX_S, 0.5 * 2**self._young_deaths)
        # Of several deaths at once the first counts: nobody waits for the delay of the last.
        if self._restart_at is None:
            self._restart_at = now + delay
            self._young_deaths = min(self._young_deaths + 1, _DELAY_DOUBLINGS)

    # ---- the end --------------------------------------------------------------------------

    def _stop(self) -> None:
        self._stopping = True
        self._restart_at = None
        self._close_sockets()
        for worker in self._alive:
            self._drain(worker)
        if self.grace_s is not None and self._kill_at is None:
            self._kill_at = time.monotonic() + self.grace_s + _KILL_MARGIN_S

    def _kill_all(self) -> None:
        self._kill_at = None
        for worker in self._alive:
            if worker.process.poll() is None:
                worker.process.kill()
        for worker in self._alive:
            worker.process.wait()

    def _close_sockets(self) -> None:
        for sock, identity in zip(self.sockets, self._identities, strict=True):
            # Only the file that is this socket's: a successor may have put its own there.
            if identity is not None and _identity(sock) == identity:
                with contextlib.suppress(OSError):
                    os.unlink(sock.getsockname())
            sock.close()


def _identity(sock: socket.socket) -> tuple[int, int] | None:
    """Which file a bound Unix socket has now; None for none."""
    if sock.fileno() < 0 or sock.family != socket.AF_UNIX:
        return None
    path = sock.getsockname()
    if not isinstance(path, str) or not path:
        return None
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _ignore(number: int, frame: object) -> None:
    """Only there so that Python's own handler writes the wake-up socket."""
