"""Lines of a log that clients cause: one a second of each kind, however many there could be."""

from __future__ import annotations

import asyncio
import logging

__all__ = ["Flood"]

_EVERY_S = 1.0


class Flood:
    """Writes warnings to ``logger``; belongs to the thread of ``loop``.

    The first line of a kind is written at once. Those that follow within a second are counted,
    and one line at the end of it says how many they were.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, logger: logging.Logger) -> None:
        self._loop = loop
        self._logger = logger
        self._held: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def log(self, kind: str, line: str) -> None:
        """Write ``line``, or count it; ``kind`` is the sentence for those that were counted."""
        if kind in self._held:
            self._held[kind] += 1
            return
        self._logger.warning("%s", line)
        self._hold(kind)

    def close(self) -> None:
        """Say what was held back; what still comes is written as it comes."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for kind in list(self._held):
            self._say(kind)

    def _hold(self, kind: str) -> None:
        if self._closed or self._loop.is_closed():
            return
        self._held[kind] = 0
        self._timers[kind] = self._loop.call_later(_EVERY_S, self._second_over, kind)

    def _second_over(self, kind: str) -> None:
        del self._timers[kind]
        if self._say(kind):
            self._hold(kind)

    def _say(self, kind: str) -> bool:
        count = self._held.pop(kind)
        if count:
            self._logger.warning("%d more within a second: %s", count, kind)
        return count > 0
