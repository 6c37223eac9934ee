"""SIGINT and SIGTERM while a server serves: the first drains, a second SIGINT stops at once.

As under uvicorn the signals are raised again once the server has stopped, so that the process
ends the way its parent expects: SIGTERM kills it (143 to a shell), SIGINT becomes
``KeyboardInterrupt``.
"""

from __future__ import annotations

import contextlib
import signal
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

    Only the main thread can take signals; elsewhere this does nothing. Handlers that were
    installed before are put back, and every signal that came is raised again, last first.
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

    before = {number: signal.signal(number, on_signal) for number in HANDLED_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for again in reversed(captured):
        signal.raise_signal(again)
