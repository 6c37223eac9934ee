"""Makes the environment of the contenders: the C programs, the peers, our own package.

Each step is stamped with a hash of what went into it and skipped while that fits.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fabench.errors import MissingTool
from fabench.toolchain import BENCHMARKS, BUILD, ROOT, VENV

_BUILD_S = 1200
_REQUIREMENTS = (ROOT / "tools/requirements/build.txt", BENCHMARKS / "requirements.txt")
_SOURCES = ("meson.build", "meson.options", "pyproject.toml", "include", "src", "python")


def set_up(say: Callable[[str], None]) -> None:
    """Brings ``.venv-bench`` and ``build/bench`` up to date with this tree.

    The environment is of the Python that runs this. Raises MissingTool with the output of
    the step that failed.
    """
    python = VENV / "bin/python"
    if not python.exists():
        say(f"making {VENV}")
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    wanted = digest(_REQUIREMENTS)
    if not _is_stamped("peers", wanted):
        say("installing the peers of benchmarks/requirements.txt")
        _run([*pip, *(word for path in _REQUIREMENTS for word in ("-r", str(path)))])
        _stamp("peers", wanted)
    say("building the C programs")
    build_programs(VENV / "bin")
    wanted = digest(ROOT / name for name in _SOURCES)
    if not _is_stamped("fasterapi", wanted):
        say("installing fasterapi, release build")
        folder = f"--config-settings=build-dir={BUILD}-wheel"
        _run([*pip, "--no-build-isolation", "--force-reinstall", "--no-deps", folder, str(ROOT)])
        _stamp("fasterapi", wanted)


def digest(paths: Iterable[Path]) -> str:
    """A hash of the files, and of those below the folders; byte code is left out."""
    whole = hashlib.sha256()
    for path in paths:
        below = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".pyc")
        for file in below if path.is_dir() else [path]:
            whole.update(f"{file.relative_to(path.parent)}\0".encode())
            whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def _is_stamped(name: str, wanted: str) -> bool:
    stamp = VENV / f"stamp-{name}"
    return stamp.exists() and stamp.read_text() == wanted


def _stamp(name: str, wanted: str) -> None:
    (VENV / f"stamp-{name}").write_text(wanted)


def build_programs(folder: Path) -> None:
    """Builds the C programs with the meson and ninja of a folder. Raises MissingTool."""
    meson = folder / "meson"
    if not (BUILD / "build.ninja").exists():
        options = ["-Dpython=disabled", "-Dbenchmarks=true", "-Dbuildtype=release", "-Db_lto=true"]
        _run([str(meson), "setup", str(BUILD), str(ROOT), *options])
    _run([str(meson), "compile", "-C", str(BUILD)])


def _run(command: Sequence[str]) -> None:
    folder = Path(command[0]).parent  # meson looks for ninja on the path
    path = f"{folder}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            timeout=_BUILD_S,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PATH": path},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingTool(f"{' '.join(command)}: {error}") from None
    if done.returncode != 0:
        output = (done.stdout + done.stderr).strip()[-3000:]
        raise MissingTool(f"{' '.join(command)} failed:\n{output}")
