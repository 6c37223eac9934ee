"""Formatting, analysers, type checkers and the project's own rules; every finding is a failure.

    tools/lint.py [name...]

runs all of them, or those named. A tool that is missing is a failure too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import builds
import check_functions
from builds import BUILD, ROOT

_BIN = Path(sys.executable).parent
_CPUS = os.cpu_count() or 1

# Where the extension cannot say what the stub does: the signature of a call is the
# interpreter's, which takes anything.
_STUB_ALLOWED = (r"fasterapi\._native\.Receive\.__call__",)


def _run(*command: str, **extra: str) -> tuple[bool, str]:
    """Whether `command` succeeded, with `extra` in its environment, and what it printed."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=builds.with_tools(_BIN, extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except OSError as error:
        return False, str(error)
    return done.returncode == 0, done.stdout


def _clang_format() -> tuple[bool, str]:
    names = [name for name in check_functions.sources(ROOT) if name.endswith((".c", ".h"))]
    return _run("clang-format", "--dry-run", "-Werror", *names)


def _analysed() -> tuple[Path, list[str]]:
    """A folder with compile_commands.json, and the C files it knows how to compile but the
    tests, which run under sanitizers instead. It is configured anew each time, since meson
    lists files without having to build them."""
    folder = BUILD / "lint"
    ok, output = _run(
        "meson", "setup", *(["--reconfigure"] if (folder / "build.ninja").exists() else []),
        str(folder), str(ROOT), "-Dpython=enabled", "-Dbenchmarks=true", "-Dbuildtype=debug",
    )  # fmt: skip
    if not ok:
        raise RuntimeError(output)
    known = json.loads((folder / "compile_commands.json").read_text())
    files = {(folder / entry["file"]).resolve() for entry in known}
    tests = ROOT / "tests"
    return folder, sorted(str(path) for path in files if not path.is_relative_to(tests))


def _clang_tidy() -> tuple[bool, str]:
    try:
        folder, names = _analysed()
    except RuntimeError as error:
        return False, str(error)
    shards = [names[start::_CPUS] for start in range(_CPUS)]
    with ThreadPoolExecutor(_CPUS) as pool:
        results = list(
            pool.map(
                lambda shard: _run("clang-tidy", "-p", str(folder), "--quiet", *shard),
                [shard for shard in shards if shard],
            )
        )
    text = "".join(output for _, output in results)
    noise = re.compile(r"warnings generated|^\[\d+/\d+\] Processing file")
    kept = [line for line in text.splitlines() if not noise.search(line)]
    return all(ok for ok, _ in results), "\n".join([*kept, f"{len(names)} files analysed"])


def _stubtest() -> tuple[bool, str]:
    """Compares the stub of the extension in the source tree with the extension that set-up
    installed, which it imports."""
    with tempfile.NamedTemporaryFile("w", suffix=".allow") as allowed:
        allowed.write("\n".join(_STUB_ALLOWED))
        allowed.flush()
        return _run(
            "stubtest", "--allowlist", allowed.name, "fasterapi._native",
            MYPYPATH=str(ROOT / "python"),
        )  # fmt: skip


def _tool(*command: str) -> Callable[[], tuple[bool, str]]:
    return lambda: _run(*command)


def _own(script: str) -> Callable[[], tuple[bool, str]]:
    return _tool(sys.executable, str(ROOT / "tools" / script))


CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "clang-tidy": _clang_tidy,
    "mypy": _tool("mypy", "--cache-dir", str(BUILD / "mypy")),
    "stubtest": _stubtest,
    "pyright": _tool("pyright", "--warnings"),
    "clang-format": _clang_format,
    "ruff": _tool("ruff", "check", "--no-cache", "."),
    "ruff-format": _tool("ruff", "format", "--no-cache", "--check", "."),
    "layers": _own("check_layers.py"),
    "functions": _own("check_functions.py"),
}


def _timed(name: str) -> tuple[str, bool, str, float]:
    started = time.monotonic()
    ok, output = CHECKS[name]()
    return name, ok, output, time.monotonic() - started


def run(names: Sequence[str]) -> int:
    """Runs the checks `names`, prints each one's result; the number that failed."""
    failed = 0
    with ThreadPoolExecutor(_CPUS) as pool:
        for name, ok, output, seconds in pool.map(_timed, names):
            last = output.strip().splitlines()[-1:] if ok else []
            print(f"{'ok  ' if ok else 'FAIL'} {name} ({seconds:.0f} s) {''.join(last)}")
            if not ok:
                failed += 1
                print(output.rstrip())
            sys.stdout.flush()
    print(f"{len(names) - failed} passed, {failed} failed")
    return failed


def main() -> int:
    names = sys.argv[1:] or list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no such check: {' '.join(unknown)}; there are {' '.join(CHECKS)}", file=sys.stderr)
        return 2
    BUILD.mkdir(exist_ok=True)
    return 1 if run(names) else 0


if __name__ == "__main__":
    sys.exit(main())
