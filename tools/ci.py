"""Everything a change must pass, stage by stage, with a summary at the end.

    tools/ci.py [stage...]

First README's test command, alone, as anybody would run it in a fresh clone; then the other
stages, two at a time. A stage that fails does not stop the others. Each writes its output to
build/ci/<stage>.log; that of a failed one is shown. The last line is "N passed, N failed",
counting stages.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from builds import BUILD, ROOT

# A stage that takes longer than this hangs.
_LIMIT_S = 45 * 60
# How much of a failed stage's log is shown.
_TAIL_LINES = 200

_TOOLS = str(ROOT / "tools")
_PYTHON = str(ROOT / ".venv" / "bin" / "python")


@dataclass(frozen=True)
class Stage:
    """A command that must succeed. `lane` says what it runs beside: lanes run at the same
    time, the stages of one lane one after the other; those of lane 0 before all others."""

    name: str
    lane: int
    commands: tuple[tuple[str, ...], ...]


def _tool(script: str, *arguments: str) -> tuple[str, ...]:
    return (_PYTHON, f"{_TOOLS}/{script}", *arguments)


STAGES = (
    Stage("test", 0, (("make", "test"),)),
    Stage("set-up", 0, ((f"{_TOOLS}/setup", "check"),)),
    Stage(
        "python-asan", 1,
        ((f"{_TOOLS}/setup", "asan"), _tool("run_tests.py", "--flavour=asan", "--only=python")),
    ),
    Stage("fresh-clone", 1, (_tool("check_fresh_clone.py"),)),
    Stage("lint", 2, (_tool("lint.py"),)),
    Stage("c-asan", 2, (_tool("run_tests.py", "--flavour=asan", "--only=c"),)),
    Stage("c-tsan", 2, (_tool("run_tests.py", "--flavour=tsan", "--only=c"),)),
    Stage("clang", 2, (_tool("builds.py", "--python", "clang"),)),
    Stage("fuzz", 2, (_tool("fuzz.py", "--seconds=10", "--jobs=1"),)),
    Stage("neon", 2, (("bash", f"{_TOOLS}/test_neon.sh"),)),
    Stage("bench-smoke", 2, ((_PYTHON, "benchmarks/runner.py", "--setup", "--smoke"),)),
    Stage("packaging", 2, (_tool("check_packaging.py"),)),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    stage: Stage
    ok: bool
    seconds: float
    log: Path

    @property
    def result(self) -> str:
        """The line that says how it went: the last one with a count, or the last one."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        counts = [line for line in lines[-5:] if re.match(r"\d+ passed, \d+ failed", line)]
        return [*lines, *counts][-1] if lines else ""


_print_lock = threading.Lock()


def _say(text: str) -> None:
    with _print_lock:
        print(text, flush=True)


def _run_command(command: tuple[str, ...], log_path: Path, live: bool, deadline: float) -> bool:
    """Runs one command with its output in `log_path`, and on our own if `live`. Kills its
    whole process group at the deadline."""
    environment = {**os.environ, "CI": "true", "TEST_JOBS": str(min(2, os.cpu_count() or 1))}
    with open(log_path, "ab") as log:
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        try:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            log.write(f"{error}\n".encode())
            return False
        late = threading.Event()

        def kill() -> None:
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(max(1.0, deadline - time.monotonic()), kill)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                if live:
                    sys.stdout.buffer.write(line)
                    sys.stdout.buffer.flush()
            code = process.wait()
        finally:
            timer.cancel()
        if late.is_set():
            log.write(f"killed: took more than {_LIMIT_S} s\n".encode())
    return code == 0


def run_stage(stage: Stage, live: bool) -> Outcome:
    """Runs the commands of `stage` until one fails."""
    log = BUILD / "ci" / f"{stage.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    started = time.monotonic()
    deadline = started + _LIMIT_S
    ok = all(_run_command(command, log, live, deadline) for command in stage.commands)
    outcome = Outcome(stage, ok, time.monotonic() - started, log)
    _say(f"{'ok  ' if ok else 'FAIL'} {stage.name} ({outcome.seconds:.0f} s) {outcome.result}")
    if not ok and not live:
        tail = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        _say("\n".join(f"    {line}" for line in tail))
    return outcome


def run_stages(stages: list[Stage], runner: Callable[[Stage, bool], Outcome]) -> list[Outcome]:
    """Runs lane 0, then the other lanes side by side."""
    outcomes = []
    for stage in stages:
        if stage.lane == 0:
            _say(f"== {stage.name}")
            outcomes.append(runner(stage, True))
    lanes = sorted({stage.lane for stage in stages} - {0})
    if lanes:
        _say("== " + ", ".join(stage.name for stage in stages if stage.lane))
        with ThreadPoolExecutor(len(lanes)) as pool:
            for lane in pool.map(
                lambda lane: [runner(stage, False) for stage in stages if stage.lane == lane],
                lanes,
            ):
                outcomes += lane
    return outcomes


def main() -> int:
    names = [stage.name for stage in STAGES]
    chosen = sys.argv[1:] or names
    unknown = [name for name in chosen if name not in names]
    if unknown:
        print(f"no such stage: {' '.join(unknown)}; there are {' '.join(names)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    outcomes = run_stages([stage for stage in STAGES if stage.name in chosen], run_stage)
    failed = sum(not outcome.ok for outcome in outcomes)
    print(f"\n== summary ({time.monotonic() - started:.0f} s on {os.cpu_count()} CPUs)")
    for outcome in outcomes:
        mark = "ok  " if outcome.ok else "FAIL"
        print(f"{mark} {outcome.stage.name:12} {outcome.seconds:5.0f} s  {outcome.result}")
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
