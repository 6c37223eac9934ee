"""Signals while a server serves: who takes them, and that they wake it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from fasterapi import Loop
from fasterapi._signals import capture_signals
from fault.peer import ask
from surface.command import Command, script

# The signal is sent from a thread to itself: the kernel interrupts no wait of the main thread.
ON_A_THREAD = """
import signal, threading

def end(path):
    with open(path) as fifo:
        fifo.read()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

async def app(scope, receive, send):
    assert scope["type"] == "http"
    threading.Thread(target=end, args=(scope["path"],), daemon=True).start()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"soon"})
"""


class Flags:
    """What takes the signals."""

    should_exit = False
    force_exit = False


def test_a_signal_that_another_thread_takes_wakes_an_idle_server(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(ON_A_THREAD, encoding="utf-8")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with Command(tmp_path, script("fasterapi"), "run", "threaded:app", "--port", "0") as command:
        assert ask(command.port(), str(fifo)).body == b"soon"
        fifo.write_text("now")
        assert command.finish() == 128 + signal.SIGTERM


def test_an_ignored_signal_stays_ignored() -> None:
    async def look() -> object:
        with capture_signals(Flags()):
            return signal.getsignal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            loop = runner.get_loop()
            assert loop.run_until_complete(look()) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_flags_and_what_was_there_before() -> None:
    seen: list[int] = []

    async def twice(flags: Flags) -> None:
        with capture_signals(flags):
            signal.raise_signal(signal.SIGINT)
            assert (flags.should_exit, flags.force_exit) == (True, False)
            signal.raise_signal(signal.SIGINT)
            assert flags.force_exit

    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.get_loop().run_until_complete(twice(Flags()))
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT, signal.SIGINT]


@pytest.mark.parametrize("own", [True, False])
def test_a_wakeup_descriptor_of_others_is_left_alone(own: bool) -> None:
    async def look(flags: Flags) -> None:
        loop = asyncio.get_running_loop()
        if own:
            loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        before = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(before)
        assert (before != -1) is own
        with capture_signals(flags):
            now = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(now)
            assert now != -1
            assert (now == before) is own
        after = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(after)
        assert after == before

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.get_loop().run_until_complete(look(Flags()))
