"""The build types: their meson options, their folders under build/, and how to make one.

`release` is what is shipped. `test` is the same code with symbols and without link-time
optimisation, which would be repeated for every test program.

Warnings are errors where the environment says CI=true, and nowhere else: a newer compiler must
not break a user's build. Nor under sanitizers, whose checks lead gcc's flow analysis to paths
that do not exist; the same files are compiled without them in the same run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"


@dataclass(frozen=True)
class Flavour:
    """One build type: meson's options, and what its environment adds."""

    options: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


_ASAN = ("-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false")

FLAVOURS: dict[str, Flavour] = {
    "release": Flavour(("-Dbuildtype=release", "-Db_lto=true", "-Dtests=false")),
    "debug": Flavour(("-Dbuildtype=debug",)),
    "test": Flavour(("-Dbuildtype=debugoptimized",)),
    "asan": Flavour(_ASAN),
    "tsan": Flavour(("-Dbuildtype=debugoptimized", "-Db_sanitize=thread", "-Db_lundef=false")),
    "fuzz": Flavour((*_ASAN, "-Dfuzz=true", "-Dtests=false"), {"CC": "clang"}),
    "clang": Flavour(("-Dbuildtype=debugoptimized",), {"CC": "clang"}),
}

# The same for the extension, which meson-python configures (see pyproject.toml).
EXTENSION_OPTIONS: dict[str, tuple[str, ...]] = {
    "release": (),
    "debug": ("-Dbuildtype=debug", "-Db_lto=false"),
    "asan": (*_ASAN, "-Db_lto=false"),
}


def warnings_are_errors() -> tuple[str, ...]:
    return ("-Dwerror=true",) if os.environ.get("CI") == "true" else ()


def with_tools(bin_folder: Path, extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment in which the tools of `bin_folder` are found first, and no other
    Python's settings reach them."""
    keep = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    path = os.pathsep.join([str(bin_folder), os.environ.get("PATH", os.defpath)])
    return {**keep, "PATH": path, **(extra or {})}


def make(name: str, bin_folder: Path, *, python: bool = False) -> Path:
    """Configures and compiles the build type `name` with the meson of `bin_folder`; the
    folder it is in. Raises CalledProcessError, after meson has said why."""
    flavour = FLAVOURS[name]
    folder = BUILD / name
    environment = with_tools(bin_folder, flavour.environment)
    meson = str(bin_folder / "meson")
    options = [
        *flavour.options,
        f"-Dpython={'enabled' if python else 'disabled'}",
        *(() if "-Db_sanitize" in " ".join(flavour.options) else warnings_are_errors()),
    ]
    if not (folder / "build.ninja").exists():
        setup = [meson, "setup", str(folder), str(ROOT), *options]
        _quietly(setup, environment)
    else:
        _quietly([meson, "configure", str(folder), *options], environment)
    _quietly([meson, "compile", "-C", str(folder)], environment)
    return folder


def _quietly(command: list[str], environment: dict[str, str]) -> None:
    """Runs `command`; its output is shown only if it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        sys.stdout.write(done.stdout)
        sys.stdout.flush()
        raise subprocess.CalledProcessError(done.returncode, command)


def main() -> int:
    """`builds.py [--python] <build type>...` with the meson beside this interpreter."""
    names = [name for name in sys.argv[1:] if name != "--python"]
    for name in names:
        try:
            folder = make(name, Path(sys.executable).parent, python="--python" in sys.argv)
        except subprocess.CalledProcessError as error:
            print(f"the {name} build failed: {error}", file=sys.stderr)
            return 1
        print(f"{name}: built in {folder.relative_to(ROOT)}")
    return 0 if names else 2


if __name__ == "__main__":
    sys.exit(main())
