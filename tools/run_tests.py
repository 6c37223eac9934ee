"""Runs the C tests and the Python suite, and adds up what passed.

    tools/run_tests.py [--only c|python] [--python 3.12] [--flavour asan] [-- pytest's arguments]

The Python suite runs on every Python that set-up found, one after the other (or --jobs at a
time), each in its own environment with the package installed; with a sanitizer on the newest
only. The last line is "N passed, N failed, N skipped" over all of it; a C test program counts
once for every test it ran.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import builds
import environment
import sanitizers
from builds import BUILD, ROOT
from environment import Environment
from packages import SetupError

_CLOSING_LINE = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)


@dataclass(frozen=True)
class Counts:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def count_meson_log(log: str) -> Counts:
    """Adds up meson's testlog.json: of each program its closing line, of one without a
    closing line its result. A program that failed counts as at least one failure."""
    counts = Counts()
    for line in log.splitlines():
        test = json.loads(line)
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        skipped = test["result"] == "SKIP"
        closing = _CLOSING_LINE.findall(test.get("stdout", ""))
        if closing:
            passed, failed = map(int, closing[-1])
            counts += Counts(passed, failed if good else max(failed, 1))
        else:
            counts += Counts(int(good), int(not good and not skipped), int(skipped))
    return counts


def count_junit(path: Path) -> Counts:
    """Adds up pytest's own record. None, or an empty one, is a failure."""
    try:
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return Counts(failed=1)
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return Counts(total - failed - skipped, failed, skipped) if total else Counts(failed=1)


def run_c(flavour: str, bin_folder: Path) -> Counts:
    """Builds and runs the C tests of one build type. Raises CalledProcessError if they do
    not build."""
    folder = builds.make(flavour, bin_folder)
    sanitized = sanitizers.in_c_tests(flavour)
    log = folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [
            str(bin_folder / "meson"), "test", "-C", str(folder), "--no-rebuild",
            "--print-errorlogs", "--quiet", "--timeout-multiplier", "5" if sanitized else "2",
        ],
        cwd=ROOT,
        env=builds.with_tools(bin_folder, sanitized),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    counts = count_meson_log(log.read_text()) if log.exists() else Counts(failed=1)
    if done.returncode != 0 and counts.failed == 0:
        counts += Counts(failed=1)
    return counts


def run_python(made: Environment, arguments: list[str], live: bool = True) -> Counts:
    """Runs the Python suite in the environment `made`; shows its output as it comes, or
    all of it at the end."""
    slow = made.flavour == "asan"
    record = BUILD / "results" / f"python-{made.python.name}-{made.flavour}.xml"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    done = subprocess.run(
        [
            str(made.bin / "python"), "-m", "pytest", f"--junitxml={record}",
            "--continue-on-collection-errors", "--durations=12", "--durations-min=2",
            *(["-o", "timeout=300"] if slow else []),
            "-o", f"cache_dir={BUILD}/pytest-{made.python.name}-{made.flavour}", *arguments,
        ],
        cwd=ROOT,
        env=builds.with_tools(made.bin, sanitizers.address() if slow else None),
        stdin=subprocess.DEVNULL,
        stdout=None if live else subprocess.PIPE,
        stderr=None if live else subprocess.STDOUT,
        text=True,
        errors="replace",
    )  # fmt: skip
    if not live:
        _title(f"Python suite on {made.python.name}", done.stdout)
    counts = count_junit(record)
    if done.returncode != 0 and counts.failed == 0:
        counts += Counts(failed=1)
    return counts


_printing = threading.Lock()


def _title(text: str, body: str = "") -> None:
    with _printing:
        print(f"== {text}\n{body}", end="", flush=True)


def _run_pythons(chosen: argparse.Namespace) -> dict[str, Counts]:
    """The Python suite on each Python, as many at a time as `chosen.jobs` says."""
    made = environment.set_up(chosen.flavour or "test")
    _title("Pythons: " + ", ".join(f"{each.python.name} ({each.python.path})" for each in made))
    made = [each for each in made if chosen.python in (None, each.python.minor)]
    if chosen.jobs == 1 or len(made) == 1:
        results = {}
        for each in made:
            _title(f"Python suite on {each.python.name}")
            results[f"Python {each.python.name}"] = run_python(each, chosen.pytest)
        return results
    with ThreadPoolExecutor(chosen.jobs) as pool:
        counts = pool.map(lambda each: run_python(each, chosen.pytest, live=False), made)
        return dict(zip([f"Python {each.python.name}" for each in made], counts, strict=True))


def _run_all(chosen: argparse.Namespace) -> dict[str, Counts]:
    results: dict[str, Counts] = {}
    if chosen.only != "python":
        made = environment.set_up("c" if chosen.only == "c" else "test")[0]
        flavour = chosen.flavour or "test"
        _title(f"C tests ({flavour} build)")
        results["C"] = run_c(flavour, made.bin)
    if chosen.only != "c":
        results.update(_run_pythons(chosen))
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the C tests and the Python suite.")
    parser.add_argument("--only", choices=("c", "python"))
    parser.add_argument("--python", metavar="3.N", help="only on this Python")
    parser.add_argument("--flavour", choices=("asan", "tsan"), help="with a sanitizer")
    parser.add_argument(
        "--jobs",
        type=int,
        default=int(os.environ.get("TEST_JOBS", "1")),
        help="Pythons at a time (TEST_JOBS or 1)",
    )
    parser.add_argument("pytest", nargs="*", help="arguments for pytest")
    chosen = parser.parse_args()
    if chosen.flavour == "tsan" and chosen.only != "c":
        parser.error("only the C tests run under TSan")
    started = time.monotonic()
    try:
        results = _run_all(chosen)
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    total = sum(results.values(), Counts())
    print(f"\n== summary ({time.monotonic() - started:.0f} s on {os.cpu_count()} CPUs)")
    for name, counts in results.items():
        print(f"{name}: {counts}")
    print(total if results else "no Python of that version: nothing ran")
    return 0 if total.failed == 0 and total.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
