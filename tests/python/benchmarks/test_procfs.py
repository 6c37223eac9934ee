"""What the harness reads from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from fabench import procfs

STAT = (
    "4242 (odd) name (x) S 1 4242 4200 0 -1 4194560 900 50 0 0 123 45 6 7 20 0 3 0 1 "
    "10000000 2500 18446744073709551615"
)
STATUS = "Name:\tpython\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nRssAnon:\t    4096 kB\n"


def test_stat_survives_parentheses_in_the_name() -> None:
    stat = procfs.parse_stat(STAT)
    assert (stat.pid, stat.state, stat.session) == (4242, "S", 4200)
    assert (stat.user_ticks, stat.sys_ticks) == (123, 45)
    assert (stat.waited_user_ticks, stat.waited_sys_ticks) == (6, 7)


def test_status_is_in_bytes() -> None:
    assert procfs.parse_status_kib(STATUS, "VmRSS") == 10240 * 1024
    assert procfs.parse_status_kib(STATUS, "RssAnon") == 4096 * 1024
    assert procfs.parse_status_kib(STATUS, "VmSwap") == 0


def test_busy_time_of_a_core() -> None:
    text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 400 500 6 7 8 0 0\ncpu1 0 0 0 9 0 0 0 0 0 0\n"
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert procfs.parse_core_busy(text, 0) == (1 + 2 + 3 + 6 + 7 + 8) * tick_ns
    assert procfs.parse_core_busy(text, 1) == 0
    assert procfs.parse_core_busy(text, 7) == 0


def test_cpu_difference() -> None:
    spent = procfs.Cpu(500, 300, 200).since(procfs.Cpu(100, 50, 50))
    assert spent == procfs.Cpu(400, 250, 150)


def test_session_counts_parent_and_child() -> None:
    burn = "x = 0\nfor i in range(3_000_000): x += i\nprint('done', flush=True); input()"
    both = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", both],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdin is not None
    with process:
        process.stdout.readline()
        members = procfs.session_members(process.pid)
        own = time.process_time_ns()
        cpu = procfs.cpu_of(process.pid)
        assert len(members) == 2
        assert {member.session for member in members} == {process.pid}
        assert cpu.total_ns > 20_000_000
        assert procfs.rss_of(process.pid) > 8 * 1024 * 1024
        assert procfs.private_of(process.pid) < procfs.rss_of(process.pid)
        assert time.process_time_ns() >= own
        process.stdin.close()
    assert procfs.session_members(process.pid) == []


def test_peak_can_be_reset() -> None:
    session = os.getsid(0)
    block = bytearray(64 * 1024 * 1024)
    block[::4096] = b"x" * len(block[::4096])
    high = procfs.peak_rss_of(session)
    del block
    procfs.reset_peak(session)
    assert procfs.peak_rss_of(session) <= high - 32 * 1024 * 1024
