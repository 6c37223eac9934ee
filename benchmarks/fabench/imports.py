"""What ``import fasterapi`` costs beyond FastAPI's own import."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from fabench.errors import ContenderFailed
from fabench.model import Sample
from fabench.servers import SERVER_CORE, pinned
from fabench.session import Session

# Names, since a package may put its work off until one is asked for.
_TIMER = """
import time
begun = time.perf_counter_ns()
from fastapi import FastAPI
between = time.perf_counter_ns()
from fasterapi import App
print(between - begun, time.perf_counter_ns() - between)
"""
_WORST = 5


def run_imports(session: Session) -> Iterator[Sample]:
    """Fresh interpreters that import FastAPI and then our package, so that what both need
    is FastAPI's. The samples are named ``fastapi`` and ``fasterapi``."""
    if not any(contender.name == "fasterapi" for contender in session.contenders):
        session.say("left out: import: fasterapi is not among the contenders")
        return
    session.say(f"         import times, {session.settings.import_pairs} interpreters")
    try:
        _import_ms(session)  # fills the file cache and writes the byte code
        for number in range(1, session.settings.import_pairs + 1):
            base, beyond = _import_ms(session)
            yield Sample("import", "fastapi", number, {"import_ms": base})
            metrics = {"import_ms": base + beyond, "beyond_ms": beyond}
            yield Sample("import", "fasterapi", number, metrics, notes=_slowest(session, number))
    except ContenderFailed as error:
        session.say(f"    FAILED: {error}")
        yield Sample("import", "fasterapi", 1, error=str(error))


def _python(session: Session, *arguments: str) -> subprocess.CompletedProcess[str]:
    with pinned(SERVER_CORE):
        done = subprocess.run(
            [str(session.tools.python), *arguments],
            capture_output=True,
            text=True,
            env=session.tools.environment(),
            cwd=session.scratch,
            timeout=60,
            check=False,
        )
    if done.returncode != 0:
        raise ContenderFailed(done.stderr.strip().splitlines()[-1])
    return done


def _import_ms(session: Session) -> tuple[float, float]:
    """FastAPI's import, and ours after it."""
    base, beyond = _python(session, "-c", _TIMER).stdout.split()
    return int(base) / 1e6, int(beyond) / 1e6


def _slowest(session: Session, number: int) -> tuple[str, ...]:
    """Once: the modules of ours that cost most."""
    if number != 1:
        return ()
    done = _python(session, "-X", "importtime", "-c", "from fasterapi import App")
    worst = slowest_modules(done.stderr, "fasterapi")
    return (f"slowest: {', '.join(f'{name} {us} us' for name, us in worst)}",)


def slowest_modules(text: str, package: str) -> list[tuple[str, int]]:
    """The package's modules by their own time in microseconds, from ``-X importtime``."""
    found = []
    for line in text.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[0].strip().isdigit():
            name = fields[2].strip()
            if name.partition(".")[0] == package:
                found.append((name, int(fields[0])))
    return sorted(found, key=lambda entry: -entry[1])[:_WORST]
