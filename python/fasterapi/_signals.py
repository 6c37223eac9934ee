"""SIGINT and SIGTERM while a server serves: the first drains, a second SIGINT stops at once.

As under uvicorn the signals are raised again once the server has stopped, so that the process
ends the way its parent expects: SIGTERM kills it (143 to a shell), SIGINT becomes
``KeyboardInterrupt``.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

__all__ = ["HANDLED_SIGNALS", "capture_signals"]

HANDLED_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stoppable(Protocol):
    """What takes the signals: a server with its two flags."""

    @property
    def should_exit(self) -> bool: ...
    @should_exit.setter
    def should_exit(self, value: bool, /) -> None: ...
    @property
    def force_exit(self) -> bool: ...
    @force_exit.setter
    def force_exit(self, value: bool, /) -> None: ...


@contextlib.contextmanager
def capture_signals(server: Stoppable) -> Iterator[None]:
    """Turn the signals into the server's flags for the length of the block.

    Only the main thread can take signals; elsewhere this does nothing, and a signal that is
    ignored stays so. Handlers that were installed before are put back, and every signal that
    came is raised again, last first. Needs a running loop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    captured: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        captured.append(number)
        if server.should_exit and number == signal.SIGINT:
            server.force_exit = True
        else:
            server.should_exit = True

    ours = [n for n in HANDLED_SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in ours}
    try:
        with _waking(asyncio.get_running_loop()):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for again in reversed(captured):
        signal.raise_signal(again)


@contextlib.contextmanager
def _waking(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let signals wake the loop for the length of the block.

    A handler in Python runs when the main thread next executes Python. A signal that another
    thread takes, or that comes between the last instruction and the wait, would otherwise be
    seen with the next event only, which on an idle server may never come.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        other = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if other != -1:  # the loop has one already: uvloop's, or that of a signal handler
            signal.set_wakeup_fd(other)
            yield
            return
        loop.add_reader(reader, _drain, reader)
        try:
            yield
        finally:
            loop.remove_reader(reader)
            now = signal.set_wakeup_fd(-1)
            if now not in (-1, writer.fileno()):
                signal.set_wakeup_fd(now)


def _drain(reader: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        reader.recv(4096)
