"""The router's own benchmark, a C program: nanoseconds a match among real routes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

from fabench.errors import ContenderFailed
from fabench.model import Sample
from fabench.servers import SERVER_CORE, pinned
from fabench.session import Session

PROGRAM = "benchmarks/c/bench_router"
_LIMIT_S = 120


def run_router(session: Session) -> Iterator[Sample]:
    """One sample per kind of route and round, named after the kind."""
    program = session.tools.build / PROGRAM
    if not program.exists():
        session.say(f"left out: router: {program} not built")
        return
    for number in range(1, session.settings.rounds + 1):
        session.say(f"round {number}  router")
        try:
            yield from parse_router(_run([str(program), "--json"]), number)
        except ContenderFailed as error:
            session.say(f"    FAILED: {error}")
            yield Sample("router", "router", number, error=str(error))


def _run(command: list[str]) -> str:
    try:
        with pinned(SERVER_CORE):
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ContenderFailed(str(error)) from None
    if done.returncode != 0:
        raise ContenderFailed(done.stderr.strip()[-300:])
    return done.stdout


def parse_router(text: str, number: int) -> list[Sample]:
    """Reads what ``bench_router --json`` prints."""
    samples = []
    for kind in json.loads(text)["kinds"]:
        metrics = {name: float(kind[name]) for name in ("ns", "allocations", "routes")}
        samples.append(Sample("router", kind["name"], number, metrics))
    return samples
