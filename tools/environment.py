"""Set-up: the virtual environments, what is installed in them, the extension built into them.

    .venv       the newest Python, release build: run, test, lint, bench
    .venv-3.12  one for each further Python: test
    .venv-asan  the newest Python, the extension with sanitizers; .venv-debug likewise

Each step leaves a stamp with a hash of what went into it and is skipped while the stamp
still fits, so that a second call costs a fraction of a second. The package is installed,
not linked to the source tree: the tests see what a user gets.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import builds
import packages
import pythons
from builds import BUILD, ROOT
from packages import SetupError
from pythons import Python

# What goes into the extension and the package.
_SOURCES = ("meson.build", "meson.options", "pyproject.toml", "README.md", "LICENSE")
_SOURCE_FOLDERS = ("include", "src", "python")

# The requirement files each command installs in the environments it uses.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "run": ("build", "run"),
    "test": ("build", "test"),
    "lint": ("build", "lint"),
    "c": ("build",),
    "fuzz": ("build",),
    "bench": ("build", "run"),
    "debug": ("build", "run"),
    "asan": ("build", "test"),
    "check": ("build", "test", "lint"),
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment in the project's folder, for one Python and one build type."""

    folder: Path
    python: Python
    flavour: str = "release"

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def run(self, *command: str, **extra: str) -> None:
        """Runs a program of the environment; raises SetupError with its output."""
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=ROOT,
            env=builds.with_tools(self.bin, extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise SetupError(f"{done.stdout}\nfailed: {' '.join(command)}")

    def stamp(self, name: str) -> Path:
        return self.folder / "stamps" / name


def _say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def source_digest() -> str:
    """A hash of everything the extension and the package are made of."""
    digest = hashlib.sha256()
    files = [ROOT / name for name in _SOURCES]
    for folder in _SOURCE_FOLDERS:
        files += sorted(
            path
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        )
    for path in files:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextlib.contextmanager
def _step(environment: Environment, name: str, digest: str, text: str) -> Iterator[bool]:
    """Yields whether the step `name` has to be done; says `text` and stamps it if so."""
    stamp = environment.stamp(name)
    if stamp.exists() and stamp.read_text() == digest:
        yield False
        return
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    yield True
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(digest)
    _say(f"{text} ({time.monotonic() - started:.0f} s)")


def _is_healthy(environment: Environment) -> bool:
    """Whether the environment runs, is where it was made, and is of the same Python: a
    folder may have been moved or copied, a Python upgraded."""
    code = (
        "import importlib.util as u, sys; print(sys.prefix); print(u.find_spec('pip') is not None)"
        "; print('.'.join(map(str, sys.version_info[:3])))"
    )
    try:
        done = subprocess.run(
            [str(environment.bin / "python"), "-I", "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.split("\n")[:3] == [
        str(environment.folder),
        "True",
        environment.python.name,
    ]


def _ensure_venv(environment: Environment) -> None:
    if _is_healthy(environment):
        return
    _say(f"making {environment.folder.name} for Python {environment.python.name}")
    shutil.rmtree(environment.folder, ignore_errors=True)
    done = subprocess.run(
        [environment.python.path, "-m", "venv", str(environment.folder)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise SetupError(f"{done.stdout}{done.stderr}\nmaking {environment.folder.name} failed")


def _ensure_requirements(environment: Environment, names: tuple[str, ...]) -> None:
    for name in names:
        pinned = ROOT / "tools" / "requirements" / f"{name}.txt"
        text = f"{environment.folder.name}: requirements of {name}"
        with _step(environment, f"requirements-{name}", _digest(pinned.read_text()), text) as due:
            if due:
                environment.run(
                    "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    "--requirement", str(pinned),
                )  # fmt: skip


def _ensure_extension(environment: Environment, sources: str) -> None:
    options = builds.EXTENSION_OPTIONS[environment.flavour]
    if environment.flavour != "asan":
        options += builds.warnings_are_errors()
    folder = BUILD / f"python-{environment.python.name}-{environment.flavour}"
    compiler = {name: os.environ.get(name) for name in ("CC", "CFLAGS", "LDFLAGS")}
    text = f"{environment.folder.name}: fasterapi built and installed"
    with _step(environment, "extension", _digest(sources, options, compiler), text) as due:
        if due:
            folder.mkdir(parents=True, exist_ok=True)
            environment.run(
                "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                "--no-build-isolation", "--no-deps", "--force-reinstall",
                f"--config-settings=build-dir={folder}",
                *(f"--config-settings=setup-args={option}" for option in options),
                str(ROOT),
            )  # fmt: skip


def prepare(environment: Environment, requirements: tuple[str, ...], sources: str | None) -> None:
    """Makes `environment` hold the pinned `requirements`, and the extension built from the
    sources with the hash `sources` unless that is None. Raises SetupError."""
    _ensure_venv(environment)
    _ensure_requirements(environment, requirements)
    if sources is not None:
        _ensure_extension(environment, sources)


def chosen_pythons(command: str) -> list[Python]:
    """The Pythons `command` uses, newest first, after what they and it lack was installed.
    A Python that cannot be completed is left out aloud; none left is a SetupError."""
    found = pythons.find()
    parts = packages.PYTHON_PARTS[command]
    usable = [python for python in found if not python.lacks & parts or python.is_debian]
    if command not in ("test", "check"):
        # One is enough: rather one that is complete than one that needs packages first.
        usable = sorted(usable, key=lambda python: len(python.lacks & parts))[:1]
    if packages.ensure(command, usable):
        usable = [again for python in usable if (again := pythons.probe(python.path))]
    for python in found:
        lacks = ", ".join(sorted(python.lacks & parts))
        if lacks and python not in usable and not python.is_debian:
            _say(f"Python {python.name} at {python.path} is left out: it lacks {lacks}")
    if not usable:
        raise SetupError(
            "no Python of 3.11 to 3.13 is complete; on Debian: "
            "apt-get install python3-venv python3-dev"
        )
    return usable


def environments(command: str) -> list[Environment]:
    """The environments `command` works in, the main one first."""
    usable = chosen_pythons(command)
    if command in ("debug", "asan"):
        return [Environment(ROOT / f".venv-{command}", usable[0], command)]
    main = Environment(ROOT / ".venv", usable[0])
    others = [Environment(ROOT / f".venv-{python.minor}", python) for python in usable[1:]]
    return [main, *others]


def set_up(command: str) -> list[Environment]:
    """Everything `command` needs; the environments it works in. Raises SetupError."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / ".set-up.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = environments(command)
        names = REQUIREMENTS[command]
        sources = None if command in ("c", "fuzz") else source_digest()
        with ThreadPoolExecutor(2) as pool:
            tasks = [pool.submit(prepare, each, names, sources) for each in made]
        for task in tasks:
            task.result()
    return made


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in REQUIREMENTS:
        print(f"usage: tools/setup {'|'.join(REQUIREMENTS)}", file=sys.stderr)
        return 2
    try:
        set_up(sys.argv[1])
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
