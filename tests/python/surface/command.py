"""Runs a program, the ``fasterapi`` command above all, and waits for what it says."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

TIMEOUT_S = 20.0


def script(name: str) -> str:
    """The console script that this environment's installation put on the path."""
    return os.path.join(sysconfig.get_path("scripts"), name)


class Command:
    """One process in ``folder``; its output is read as it comes.

    ``pass_fds`` are descriptors that it inherits.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        pass_fds: Sequence[int] = (),
        **environment: str,
    ) -> None:
        self.output = ""
        self.process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def read_until(self, pattern: str) -> re.Match[str]:
        """Wait for output that matches; what came before stays in ``output``."""
        deadline = time.monotonic() + TIMEOUT_S
        while (found := re.search(pattern, self.output)) is None:
            assert self._read(deadline), f"{pattern!r} never came:\n{self.output}"
        return found

    def port(self) -> int:
        """Wait until it serves; the port it chose."""
        return int(self.read_until(r"running on http://[^ ]+:(\d+) ").group(1))

    def finish(self) -> int:
        """Wait for the end; the exit status as a shell would report it."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(deadline):
            pass
        code = self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        return 128 - code if code < 0 else code

    def signal(self, number: int) -> None:
        """Send a signal to the process alone, not to its group."""
        self.process.send_signal(number)

    def _read(self, deadline: float) -> bool:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing came for {TIMEOUT_S} s:\n{self.output}"
        data = os.read(fd, 65536)
        self.output += data.decode("utf-8", "replace")
        return bool(data)
