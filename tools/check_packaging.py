"""Shows that the package installs the ways people install it, and holds what it should.

From a clone of the commit that is checked out, in environments of their own:
`pip install .` with its isolated build; an editable install, which must rebuild by itself
after a change; `meson install` of the C library, with headers, both libraries and a
pkg-config file that a C program builds with. The shared library shows what the headers declare
and nothing else.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import builds
from builds import ROOT

_PROGRAM = """
#include <stdio.h>
#include <fasterapi/version.h>
int main(void) { return puts(fa_version()) < 0; }
"""

_DECLARED = re.compile(r"^FA_API\b[^;(]*?\b(\w+)\(", re.MULTILINE)


class Failed(Exception):
    """Something does not install as it should; the text says what."""


def _run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env or builds.with_tools(Path(sys.executable).parent),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}:\n{done.stdout}")
    return done.stdout


def _venv(folder: Path) -> Path:
    """Makes an environment; its python."""
    _run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    return folder / "bin" / "python"


def _pip(python: Path, *arguments: str | Path, cwd: Path) -> None:
    env = builds.with_tools(python.parent)
    _run(python, "-m", "pip", "-q", "--disable-pip-version-check", *arguments, cwd=cwd, env=env)


def check_install(clone: Path, work: Path) -> None:
    """`pip install .`, and what is in the wheel."""
    python = _venv(work / "installed")
    _pip(python, "install", ".", cwd=clone)
    env = builds.with_tools(python.parent)
    print(_run(python.parent / "fasterapi", "--version", cwd=work, env=env).splitlines()[0])
    _pip(python, "wheel", "--no-deps", "-w", work / "dist", ".", cwd=clone)
    (wheel,) = (work / "dist").glob("fasterapi_native-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("fasterapi/__init__.py", "fasterapi/py.typed", "fasterapi/_native.pyi"):
        if wanted not in names:
            raise Failed(f"{wheel.name} lacks {wanted}")
    built = [name for name in names if name.endswith((".so", ".a", ".h", ".pc"))]
    if len(built) != 1 or not built[0].startswith("fasterapi/_native."):
        raise Failed(f"{wheel.name} holds {built} where only the extension should be")
    tracked = {path.name for path in (clone / "python" / "fasterapi").rglob("*.py")}
    left_out = tracked - {Path(name).name for name in names}
    if left_out:
        raise Failed(f"{wheel.name} lacks {sorted(left_out)}: not in a meson.build")
    print(f"pip install . : {wheel.name}, {len(names)} files")


def check_editable(clone: Path, work: Path) -> None:
    """An editable install, which builds anew when a source changed."""
    python = _venv(work / "editable")
    requirements = clone / "tools" / "requirements" / "build.txt"
    _pip(python, "install", "-r", requirements, cwd=clone)
    _pip(python, "install", "--no-build-isolation", "-e", ".", cwd=clone)
    source = clone / "src" / "base" / "version.c"
    text = source.read_text()
    source.write_text(text.replace('"epoll ', '"changed epoll '))
    env = builds.with_tools(python.parent)
    said = _run(
        python, "-c", "from fasterapi import _native; print(_native.features())", cwd=work, env=env
    )
    source.write_text(text)
    if not said.startswith("changed epoll"):
        raise Failed(f"an editable install did not rebuild: {said}")
    print("pip install -e . : rebuilds after a change")


def check_symbols(prefix: Path) -> None:
    """The dynamic symbols of the shared library are the functions that the headers declare:
    a private one would become part of what programs link with."""
    headers = sorted((prefix / "include" / "fasterapi").glob("*.h"))
    declared = {name for path in headers for name in _DECLARED.findall(path.read_text())}
    library = prefix / "lib" / "libfasterapi.so"
    listed = _run("nm", "-D", "--defined-only", "--format=posix", library, cwd=prefix)
    shown = {line.split()[0] for line in listed.splitlines()}
    private = sorted(name for name in shown if not re.match("fa_[a-z]", name))
    if private or shown != declared:
        raise Failed(
            f"{library.name} shows private symbols {private}, undeclared ones "
            f"{sorted(shown - declared)}, and lacks {sorted(declared - shown)}"
        )
    print(f"{library.name}: {len(shown)} symbols, all of them declared")


def check_library(clone: Path, work: Path) -> None:
    """`meson install`, and a C program built with pkg-config against each library."""
    prefix = work / "prefix"
    build = work / "build"
    options = builds.FLAVOURS["release"].options
    _run(
        "meson", "setup", build, clone, f"--prefix={prefix}", "--libdir=lib",
        "-Dpython=disabled", *options, *builds.warnings_are_errors(), cwd=work,
    )  # fmt: skip
    _run("meson", "install", "-C", build, cwd=work)
    headers = {path.name for path in (clone / "include" / "fasterapi").glob("*.h")}
    installed = {path.name for path in (prefix / "include" / "fasterapi").glob("*.h")}
    if headers != installed:
        raise Failed(f"not installed: {sorted(headers - installed)}")
    check_symbols(prefix)
    env = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    (work / "program.c").write_text(_PROGRAM)
    flags = _run("pkg-config", "--cflags", "--libs", "fasterapi", cwd=work, env=env).split()
    _run("cc", "program.c", "-o", "shared", *flags, cwd=work, env=env)
    _run("cc", "program.c", "-o", "static", f"-I{prefix}/include",
         prefix / "lib" / "libfasterapi.a", "-pthread", cwd=work, env=env)  # fmt: skip
    with_library = {**env, "LD_LIBRARY_PATH": str(prefix / "lib")}
    for program, environment in (("shared", with_library), ("static", env)):
        version = _run(work / program, cwd=work, env=environment).strip()
        print(f"a C program with the {program} library: {version}")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fasterapi-") as folder:
        work = Path(folder)
        clone = work / "clone"
        try:
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            check_install(clone, work)
            check_editable(clone, work)
            check_library(clone, work)
        except (Failed, OSError, ValueError, subprocess.SubprocessError) as error:
            print(f"FAIL {error}")
            return 1
    print("installs every way")
    return 0


if __name__ == "__main__":
    sys.exit(main())
