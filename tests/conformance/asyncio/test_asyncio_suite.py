"""CPython's own test.test_asyncio, from the Python that runs this, on fasterapi.Loop."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

# How many of CPython's tests must have run on a Loop with our reactor, extra_suite.py's included.
# The rest is about classes that have no loop, or a fake one.
LEAST_ON_LOOP = {"3.11": 1200, "3.12": 1320, "3.13": 1420}
# And how many of CPython's own alone, each counted once. Those that make a selector loop all do;
# the rest has no loop or brings one: a TestLoop, a BaseEventLoop, a proactor. 3.13.0 has 2561: 1295
# do as they stand, and 28 of test_runners do in extra_suite.py, which takes away the BaseEventLoop
# that they bring and changes nothing else.
LEAST_OWN_ON_LOOP = {"3.11": 1130, "3.12": 1230, "3.13": 1320}
OWN = ("test.test_asyncio.", "extra_suite.RunOnLoop.", "extra_suite.RunnerOnLoop.")
# And how many of them, from CPython's suite and from extra_suite.py, must have run at all.
LEAST_RAN = {"3.11": 2800, "3.12": 2900, "3.13": 3050}

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run of the suite reports; see run_suite.py."""
    if importlib.util.find_spec("test.test_asyncio") is None:
        pytest.fail(f"{sys.executable} has no test.test_asyncio (Debian: libpython3-testsuite)")
    folder = tmp_path_factory.mktemp("asyncio_suite")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / "run_suite.py", folder / "report.json"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    print(done.stdout[-20000:])
    assert done.returncode == 0
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text())
    print(f"python {loaded['python']}: {len(loaded['ran'])} tests ran, ", end="")
    print(f"{len(loaded['on_loop'])} of them on fasterapi.Loop; of CPython's own ", end="")
    print(f"{len(own(loaded['ran']))} and {len(own(loaded['on_loop']))}")
    return loaded


def own(names: list[str]) -> list[str]:
    """Those of CPython's own tests, without what extra_suite.py runs once more."""
    return [name for name in names if name.startswith(OWN)]


def exceptions() -> set[str]:
    """The tests that may fail on this Python."""
    entries = tomllib.loads((HERE / "exceptions.toml").read_text()).get("exception", [])
    for entry in entries:
        assert entry.keys() == {"test", "pythons", "reason"}, entry
        assert len(entry["reason"]) > 20, entry
    return {entry["test"] for entry in entries if MINOR in entry["pythons"]}


@pytest.mark.timeout(1600)
def test_everything_passes_but_the_exceptions(report: dict[str, Any]) -> None:
    unexpected = {k: v for k, v in report["failed"].items() if k not in exceptions()}
    assert not unexpected, "\n\n".join(f"{k}\n{v}" for k, v in unexpected.items())


def test_every_exception_is_needed(report: dict[str, Any]) -> None:
    assert exceptions() - report["failed"].keys() == set()


def test_enough_ran_on_our_loop(report: dict[str, Any]) -> None:
    assert len(report["ran"]) >= LEAST_RAN[MINOR]
    assert len(report["on_loop"]) >= LEAST_ON_LOOP[MINOR]
    assert len(own(report["on_loop"])) >= LEAST_OWN_ON_LOOP[MINOR]
