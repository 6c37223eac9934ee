"""The Debian packages a command needs: finds what is missing and installs it where it may.

It may as root or with a sudo that asks for no password, where there is an apt-get. Anywhere
else it says exactly what to install and stops. What counts is whether the thing is there,
not which package it came from, so other distributions work once their tools are installed.
"""

from __future__ import annotations

import glob
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pythons import Python


class SetupError(Exception):
    """Set-up cannot go on; the text tells the reader what to do."""


@dataclass(frozen=True)
class Need:
    """Something a command needs: the packages that bring it, and whether it is there."""

    packages: tuple[str, ...]
    is_there: Callable[[], bool]


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _postgresql_is_there() -> bool:
    """Debian keeps initdb off the path."""
    return bool(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or shutil.which("initdb") is not None


def _compiles(compiler: str, *flags: str, code: str) -> Callable[[], bool]:
    """Whether `compiler` makes a program of `code`: a compiler may be there without the
    headers and run-time libraries it needs."""

    def probe() -> bool:
        if shutil.which(compiler) is None:
            return False
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [compiler, *flags, "-x", "c", "-", "-o", os.path.join(folder, "a.out")],
                input=code,
                text=True,
                capture_output=True,
            )
        return done.returncode == 0

    return probe


_HELLO = '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n'
_FUZZ = (
    "#include <stdint.h>\n#include <stddef.h>\n"
    "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return d == 0 && n > 1; }\n"
)

COMPILER = Need(("gcc", "libc6-dev"), _compiles("cc", code=_HELLO))
PKG_CONFIG = Need(("pkg-config",), _program("pkg-config"))
POSTGRESQL = Need(("postgresql",), _postgresql_is_there)
FUZZER = Need(
    ("clang", "libclang-rt-dev"),
    _compiles("clang", "-fsanitize=fuzzer,address,undefined", code=_FUZZ),
)
CROSS = Need(
    ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"),
    _compiles("aarch64-linux-gnu-gcc", code=_HELLO),
)
QEMU = Need(("qemu-user",), _program("qemu-aarch64"))
WRK = Need(("wrk",), _program("wrk"))

# What each command needs besides Python itself.
COMMANDS: dict[str, tuple[Need, ...]] = {
    "run": (COMPILER,),
    "test": (COMPILER, PKG_CONFIG, POSTGRESQL),
    "c": (COMPILER, PKG_CONFIG),
    "lint": (COMPILER, PKG_CONFIG),
    "fuzz": (COMPILER, FUZZER),
    "bench": (COMPILER, WRK),
    "debug": (COMPILER,),
    "asan": (COMPILER, PKG_CONFIG, POSTGRESQL),
    "check": (COMPILER, PKG_CONFIG, POSTGRESQL, FUZZER, CROSS, QEMU),
}

# What each command needs of every Python it uses.
PYTHON_PARTS: dict[str, frozenset[str]] = {
    command: frozenset({"venv", "dev"})
    | (frozenset({"testsuite"}) if command in ("test", "asan", "check") else frozenset())
    for command in COMMANDS
}


def missing(command: str, pythons: Iterable[Python]) -> list[str]:
    """The packages `command` lacks on this machine, for these Pythons."""
    names: list[str] = []
    for need in COMMANDS[command]:
        if not need.is_there():
            names += need.packages
    for python in pythons:
        names += python.packages(PYTHON_PARTS[command])
    return list(dict.fromkeys(names))


def _as_root() -> list[str] | None:
    """What to put before a command to run it as root without asking, or None."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, stdin=subprocess.DEVNULL)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def install(names: list[str]) -> None:
    """Installs the packages `names`, or raises SetupError with the line to run."""
    by_hand = f"apt-get install {shlex.join(names)}"
    if shutil.which("apt-get") is None:
        raise SetupError(
            "some tools are missing and this is no Debian system, so install them yourself; "
            f"Debian's names are: {' '.join(names)}"
        )
    prefix = _as_root()
    if prefix is None:
        raise SetupError(f"some packages are missing. As root:\n\n    {by_hand}\n\nthen again.")
    print(f"set-up: {by_hand}", flush=True)
    # Without RUNLEVEL=1 Debian would start the database server it installs; the tests
    # start one of their own and stop it again.
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"]
    command = [*apt, "install", "-y", "--no-install-recommends", *names]
    if _succeeds(command, errors=False):
        return
    # The lists may be old or missing, as in a container that was just made.
    if not _succeeds([*apt, "update"]) or not _succeeds(command):
        raise SetupError(f"apt-get failed. As root:\n\n    apt-get update && {by_hand}")


def _succeeds(command: list[str], errors: bool = True) -> bool:
    """Runs `command` without output but, if `errors`, its standard error."""
    quiet = subprocess.DEVNULL
    shown = None if errors else quiet
    return subprocess.run(command, stdin=quiet, stdout=quiet, stderr=shown).returncode == 0


def ensure(command: str, pythons: Iterable[Python]) -> bool:
    """Installs what `command` lacks; True if anything was installed."""
    names = missing(command, pythons)
    if names:
        install(names)
        left = [name for need in COMMANDS[command] if not need.is_there() for name in need.packages]
        if left:
            raise SetupError(f"installed, and still not usable: {' '.join(left)}")
    return bool(names)
