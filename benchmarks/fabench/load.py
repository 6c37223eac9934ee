"""wrk: how it is started, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fabench.errors import ContenderFailed
from fabench.model import Workload
from fabench.servers import LOAD_CORE, pinned

_SCRIPT = Path(__file__).with_name("wrk.lua")
_MARK = "FABENCH "
_GRACE_S = 8.0  # wrk must have ended this long after its time


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One run of wrk. Latencies in microseconds; with pipelining they mean nothing."""

    requests: int
    duration_s: float
    bytes: int
    p50_us: float
    p99_us: float
    max_us: float
    connect_errors: int
    read_errors: int
    write_errors: int
    status_errors: int
    timeouts: int

    @property
    def rps(self) -> float:
        """Requests answered per second."""
        return self.requests / self.duration_s

    def complaints(self) -> tuple[str, ...]:
        """What went wrong for single requests, in words."""
        counts = {
            "connections refused": self.connect_errors,
            "connections broken while reading": self.read_errors,
            "connections broken while writing": self.write_errors,
            "answers with an error status": self.status_errors,
            "requests unanswered for 2 s": self.timeouts,
        }
        return tuple(f"{count} {what}" for what, count in counts.items() if count)


def parse_wrk(text: str) -> LoadResult:
    """Reads the line that ``wrk.lua`` prints. Raises ContenderFailed without one."""
    for line in text.splitlines():
        if line.startswith(_MARK):
            got = json.loads(line.removeprefix(_MARK))
            return LoadResult(
                requests=got["requests"],
                duration_s=got["duration_us"] / 1e6,
                bytes=got["bytes"],
                p50_us=got["p50_us"],
                p99_us=got["p99_us"],
                max_us=got["max_us"],
                connect_errors=got["connect"],
                read_errors=got["read"],
                write_errors=got["write"],
                status_errors=got["status"],
                timeouts=got["timeout"],
            )
    raise ContenderFailed(f"wrk gave no result: {text.strip()[-300:]}")


def wrk_command(wrk: str, port: int, load: Workload, seconds: int) -> list[str]:
    """One thread, since one core is all it gets."""
    return [
        wrk,
        "--threads=1",
        f"--connections={load.connections}",
        f"--duration={seconds}s",
        "--timeout=2s",
        f"--script={_SCRIPT}",
        f"http://127.0.0.1:{port}{load.request.path}",
    ]


def run_wrk(
    wrk: str, port: int, load: Workload, seconds: int, at_end: Callable[[], None] | None = None
) -> LoadResult:
    """Runs a load on its own core. ``at_end`` is called the moment wrk has ended.

    Raises ContenderFailed when wrk fails or outlives its time by 8 s.
    """
    environment = {
        **os.environ,
        "FABENCH_METHOD": load.request.method,
        "FABENCH_BODY": load.request.body,
        "FABENCH_PIPELINE": str(load.pipeline),
    }
    try:
        with pinned(LOAD_CORE):
            done = subprocess.run(
                wrk_command(wrk, port, load, seconds),
                capture_output=True,
                text=True,
                env=environment,
                timeout=seconds + _GRACE_S,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise ContenderFailed(f"wrk did not end within {seconds + _GRACE_S:g} s") from None
    if at_end is not None:
        at_end()
    if done.returncode != 0:
        raise ContenderFailed(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return parse_wrk(done.stdout)
