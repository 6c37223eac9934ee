"""Where the tools are, and what is missing, said so that the reader can act on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fabench.errors import MissingTool

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
APPS = BENCHMARKS / "apps"
RESULTS = BENCHMARKS / "results"
VENV = ROOT / ".venv-bench"
BUILD = ROOT / "build/bench"

_SHOW_VERSIONS = """
import importlib.metadata as m, json, platform, sys
v = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in m.distributions()}
v["python"] = platform.python_version()
json.dump(v, sys.stdout)
"""


@dataclass(frozen=True)
class Toolchain:
    """The interpreter the contenders run on, and the folder of the C programs."""

    python: Path
    build: Path
    wrk: str = field(default_factory=lambda: shutil.which("wrk") or "")

    @cached_property
    def versions(self) -> dict[str, str]:
        """What is installed beside the interpreter, by distribution in lower case, and
        ``python``. Raises MissingTool without an interpreter."""
        if not self.python.exists():
            raise MissingTool(
                f"there is no {self.python}; `python3 benchmarks/runner.py --setup` makes it"
            )
        done = subprocess.run(
            [str(self.python), "-c", _SHOW_VERSIONS], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise MissingTool(f"{self.python} does not run: {done.stderr.strip()}")
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def need_wrk(self) -> None:
        """Raises MissingTool without wrk."""
        if not self.wrk:
            raise MissingTool("wrk is missing; on Debian: apt-get install wrk")

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        """The environment of a contender: this one's, less what would change Python."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GRANIAN_"))}
        kept.pop("WEB_CONCURRENCY", None)
        kept.update(PYTHONPATH=str(APPS), PYTHONUNBUFFERED="1")
        kept.update(extra or {})
        return kept


def need_two_cores() -> None:
    """Raises MissingTool where server and load would share a core."""
    if len(os.sched_getaffinity(0)) < 2:
        raise MissingTool("two cores are needed, one for the server and one for the load")
