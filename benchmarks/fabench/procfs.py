"""What the kernel says about a group of processes: CPU time, memory, members.

A contender runs in a session of its own, so that its workers, however they were started,
are found by the session's number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2  # of the kernel's clock ids: the scheduler's nanoseconds


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of ``/proc/<pid>/stat`` in use; times in clock ticks."""

    pid: int
    state: str
    session: int
    user_ticks: int
    sys_ticks: int
    waited_user_ticks: int  # of children that ended and were waited for
    waited_sys_ticks: int


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time a session used so far, in nanoseconds. ``user`` and ``sys`` come in steps
    of a clock tick (10 ms); ``total`` is exact."""

    total_ns: int
    user_ns: int
    sys_ns: int

    def since(self, earlier: Cpu) -> Cpu:
        """The difference."""
        return Cpu(
            self.total_ns - earlier.total_ns,
            self.user_ns - earlier.user_ns,
            self.sys_ns - earlier.sys_ns,
        )


def parse_stat(text: str) -> Stat:
    """Parses ``/proc/<pid>/stat``; the command in it may hold blanks and parentheses."""
    head, _, tail = text.rpartition(")")
    pid = int(head.partition(" ")[0])
    fields = tail.split()
    return Stat(
        pid=pid,
        state=fields[0],
        session=int(fields[3]),
        user_ticks=int(fields[11]),
        sys_ticks=int(fields[12]),
        waited_user_ticks=int(fields[13]),
        waited_sys_ticks=int(fields[14]),
    )


def parse_status_kib(text: str, name: str) -> int:
    """A field such as ``VmRSS`` of ``/proc/<pid>/status`` in bytes; 0 when absent."""
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def session_members(session: int) -> list[Stat]:
    """The living processes of a session (zombies left out)."""
    members = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = parse_stat((entry / "stat").read_text())
        except (OSError, ValueError, IndexError):
            continue  # it ended while we looked
        if stat.session == session and stat.state not in "ZX":
            members.append(stat)
    return members


def cpu_of(session: int) -> Cpu:
    """CPU time of all processes of the session and of the children they waited for."""
    total = user = system = 0
    for stat in session_members(session):
        waited = stat.waited_user_ticks + stat.waited_sys_ticks
        total += waited * _TICK_NS + _process_clock_ns(stat)
        user += (stat.user_ticks + stat.waited_user_ticks) * _TICK_NS
        system += (stat.sys_ticks + stat.waited_sys_ticks) * _TICK_NS
    return Cpu(total, user, system)


def _process_clock_ns(stat: Stat) -> int:
    """The process's own CPU clock, which is what ``clock_getcpuclockid(3)`` names."""
    try:
        return time.clock_gettime_ns((~stat.pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return (stat.user_ticks + stat.sys_ticks) * _TICK_NS


def rss_of(session: int) -> int:
    """Resident bytes of all processes of the session, shared pages counted in each."""
    return _sum_of(session, "VmRSS")


def private_of(session: int) -> int:
    """Resident anonymous bytes of the session: what it allocated itself."""
    return _sum_of(session, "RssAnon")


def peak_rss_of(session: int) -> int:
    """The greatest resident size each process had since :func:`reset_peak`, summed."""
    return _sum_of(session, "VmHWM")


def reset_peak(session: int) -> None:
    """Makes the kernel forget the peaks so far."""
    for stat in session_members(session):
        try:
            (_PROC / str(stat.pid) / "clear_refs").write_text("5")
        except OSError:
            continue  # it ended, or the kernel lacks the file: the peak is then of its life


def _sum_of(session: int, name: str) -> int:
    return sum(_read_status(stat.pid, name) for stat in session_members(session))


def _read_status(pid: int, name: str) -> int:
    try:
        return parse_status_kib((_PROC / str(pid) / "status").read_text(), name)
    except OSError:
        return 0


def parse_core_busy(text: str, core: int) -> int:
    """Nanoseconds that a core was not idle, from ``/proc/stat``; 0 for no such core."""
    for line in text.splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            return (user + nice + system + irq + softirq + steal) * _TICK_NS
    return 0


def core_busy_ns(core: int) -> int:
    """Nanoseconds since boot that a core was not idle, in steps of a clock tick."""
    return parse_core_busy(_PROC.joinpath("stat").read_text(), core)


def machine_facts() -> dict[str, str]:
    """What a reader needs to know of the machine."""
    cpus = _PROC.joinpath("cpuinfo").read_text().splitlines()
    names: Iterable[str] = (line.partition(":")[2].strip() for line in cpus if "model name" in line)
    return {
        "cpu": next(iter(names), "unknown"),
        "cpus": str(os.cpu_count()),
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
