"""Finds the Pythons of this machine that FasterAPI is built for and tested on.

One per minor version of 3.11 to 3.13. A candidate counts only if it runs: version managers
put stand-ins on the path that may refuse to. What a Debian Python lacks is named by the
package that holds it, so that set-up can install it.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

MINORS = (13, 12, 11)

# Runs in the candidate; prints what is asked of a Python here.
_PROBE = """
import importlib.util as u, json, os, sys, sysconfig
def has(name):
    try:
        return u.find_spec(name) is not None
    except ImportError:
        return False
print(json.dumps({
    "path": os.path.realpath(sys._base_executable),
    "version": sys.version_info[:3],
    "cpython": sys.implementation.name == "cpython",
    "gil": not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "venv": has("venv") and has("ensurepip"),
    "dev": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
    "testsuite": has("test.test_asyncio"),
}))
"""


@dataclass(frozen=True)
class Python:
    """An interpreter that runs. `lacks` holds of "venv", "dev" and "testsuite" what it has
    not; `packages` the Debian packages that hold those, empty for a Python that is not
    Debian's own."""

    path: str
    version: tuple[int, int, int]
    lacks: frozenset[str]

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def name(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def is_debian(self) -> bool:
        return os.path.dirname(self.path) == "/usr/bin" and os.path.exists("/var/lib/dpkg/status")

    def packages(self, parts: frozenset[str]) -> list[str]:
        """The Debian packages of what it lacks among `parts`."""
        names = {
            "venv": f"python{self.minor}-venv",
            "dev": f"python{self.minor}-dev",
            "testsuite": f"libpython{self.minor}-testsuite",
        }
        return [names[part] for part in sorted(self.lacks & parts)] if self.is_debian else []


def _homes() -> list[str]:
    """The home folder the environment names, and the one the account has."""
    homes = [os.environ.get("HOME", "")]
    # A container may run under a user id without an account.
    with contextlib.suppress(KeyError):
        homes.append(pwd.getpwuid(os.getuid()).pw_dir)
    return [home for home in dict.fromkeys(homes) if home]


def _candidates() -> list[str]:
    patterns = []
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        folder = glob.escape(folder)
        patterns += [os.path.join(folder, f"python3.{minor}") for minor in MINORS]
        patterns.append(os.path.join(folder, "python3"))
    roots = [os.environ.get("PYENV_ROOT", "")]
    roots += [os.path.join(home, ".pyenv") for home in _homes()]
    patterns += [os.path.join(root, "versions/3.1[123]*/bin/python3") for root in roots if root]
    patterns += [
        os.path.join(home, ".local/share/uv/python/cpython-3.1[123]*/bin/python3")
        for home in _homes()
    ]
    patterns += ["/usr/local/bin/python3.1[123]", "/usr/bin/python3.1[123]"]
    patterns.append("/opt/python/*/bin/python3")
    found = (path for pattern in patterns for path in sorted(glob.glob(pattern), reverse=True))
    return list(dict.fromkeys(found))


def probe(path: str) -> Python | None:
    """What the interpreter at `path` is, or None if it does not run or is not for us."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        facts = json.loads(done.stdout)
        major, minor, micro = facts["version"]
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError):
        return None
    if (major, minor) not in [(3, m) for m in MINORS] or not (facts["cpython"] and facts["gil"]):
        return None
    lacks = frozenset(part for part in ("venv", "dev", "testsuite") if not facts[part])
    return Python(facts["path"], (major, minor, micro), lacks)


def find() -> list[Python]:
    """The Pythons to use, newest first, one per minor version: of several, the one that
    lacks least, then the one found first on the path."""
    with ThreadPoolExecutor(4) as pool:
        probed = [python for python in pool.map(probe, _candidates()) if python is not None]
    best: dict[str, Python] = {}
    for python in probed:
        known = best.get(python.minor)
        if known is None or len(python.lacks) < len(known.lacks):
            best[python.minor] = python
    return sorted(best.values(), key=lambda python: python.version, reverse=True)


if __name__ == "__main__":
    for each in find():
        print(each.name, each.path, *(f"lacks:{part}" for part in sorted(each.lacks)))
