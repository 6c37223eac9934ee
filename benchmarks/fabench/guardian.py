"""Ends the servers when the harness dies, however it dies.

The harness starts this file as a process of its own and writes ``+SESSION`` when a
server starts and ``-SESSION`` when it is gone. When the pipe closes with sessions left,
every process in them is killed. Nothing of the harness is imported: it must work when
everything else is broken.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def sessions_left(lines: Iterable[str]) -> set[int]:
    """The sessions that were started and not stopped."""
    left: set[int] = set()
    for line in lines:
        number = int(line[1:])
        if line.startswith("+"):
            left.add(number)
        else:
            left.discard(number)
    return left


def main() -> None:
    """Waits for the end of the harness."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for session in sessions_left(sys.stdin):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)


if __name__ == "__main__":
    main()
