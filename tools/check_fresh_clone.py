"""Shows that `git clone` and then `make run`, or `make test`, is enough: in a folder with a space
in its name, with an empty environment and a home folder nobody has used.

Clones the commit that is checked out, starts `make run` on a port of the kernel's choice,
fetches the example's page, and stops it with the signal Ctrl-C sends. Then runs `make test`, of
the Python suite a small part only: the whole of it runs elsewhere, and here it is the way there
that counts. Checks that `make` alone prints a line on each target, and that a second set-up does
nothing.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from builds import ROOT

TARGETS = ("run", "test", "build", "build-debug", "bench", "lint", "check", "fuzz", "clean")
_START_LIMIT_S = 600
# With the set-up of every Python.
_TEST_LIMIT_S = 1500
_STOP_LIMIT_S = 30
_SECOND_SET_UP_LIMIT_S = 5.0
# Few tests, but on every Python, with the package that was built and installed for it.
_TESTS = "tests/python/test_native.py"
_COUNTED = re.compile(r"^(C|Python [\d.]+): [1-9]\d* passed, 0 failed, \d+ skipped$", re.MULTILINE)
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Failed(Exception):
    """The clone does not behave; the text says how."""


def _environment(home: Path) -> dict[str, str]:
    """Nothing but what any login has. Where the system's own Python is not enough, the
    account's own Pythons are found from the password file, not from HOME."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home)}


def _run(clone: Path, home: Path, *command: str, limit_s: float = _START_LIMIT_S) -> str:
    done = subprocess.run(
        command,
        cwd=clone,
        env=_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit_s,
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def _check_help(clone: Path, home: Path) -> None:
    lines = _run(clone, home, "make").splitlines()
    named = [line.split()[1] for line in lines]
    if named != list(TARGETS):
        raise Failed(f"make alone names {named}")
    print("make alone: one line on each target")


def _fetch(url: str) -> None:
    with urllib.request.urlopen(url, timeout=10) as response:
        body = response.read()
        if response.status != 200 or not body:
            raise Failed(f"{url} answered {response.status} with {len(body)} bytes")
        print(f"{url}: 200, {len(body)} bytes, {response.headers['content-type']}")


def _check_run(clone: Path, home: Path) -> None:
    server = subprocess.Popen(
        ["make", "run", "PORT=0"],
        cwd=clone,
        env=_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert server.stdout is not None
    timer = threading.Timer(_START_LIMIT_S, os.killpg, (server.pid, signal.SIGKILL))
    timer.start()
    try:
        address = None
        for line in server.stdout:
            print(f"    {line}", end="")
            address = _ADDRESS.search(line)
            if address:
                break
        if address is None:
            raise Failed("make run ended without naming an address")
        _fetch(f"{address[0]}/")
        # Ctrl-C reaches make and the server alike.
        os.killpg(server.pid, signal.SIGINT)
        rest = server.communicate(timeout=_STOP_LIMIT_S)[0]
        print("".join(f"    {line}\n" for line in rest.splitlines()), end="")
    finally:
        timer.cancel()
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    if "Traceback" in rest:
        raise Failed("the server did not stop in order")


def _check_test(clone: Path, home: Path) -> None:
    output = _run(clone, home, "make", "test", f"ARGS={_TESTS}", limit_s=_TEST_LIMIT_S)
    counted = _COUNTED.findall(output)
    if "C" not in counted or len(counted) < 2:
        raise Failed(f"make test counted {counted}:\n{output}")
    print(f"make test: {output.splitlines()[-1]} ({', '.join(counted)})")


def _check_second_set_up(clone: Path, home: Path) -> None:
    started = time.monotonic()
    output = _run(clone, home, "tools/setup", "run")
    seconds = time.monotonic() - started
    if output or seconds > _SECOND_SET_UP_LIMIT_S:
        raise Failed(f"the second set-up took {seconds:.1f} s and said:\n{output}")
    print(f"second set-up: nothing to do, {seconds:.1f} s")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fasterapi-") as folder:
        clone = Path(folder) / "a clone"
        home = Path(folder) / "a home"
        home.mkdir()
        try:
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            _check_help(clone, home)
            _check_run(clone, home)
            _check_test(clone, home)
            _check_second_set_up(clone, home)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            print(f"FAIL {error}")
            return 1
    print("a fresh clone serves the example and passes its tests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
