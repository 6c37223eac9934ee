"""What every Python test shares: the line that says which Python and which build is tested."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys

import pytest

import fasterapi
from fasterapi import _native


def pytest_report_header() -> list[str]:
    return [
        f"python: {platform.python_version()} {sys.executable}",
        f"fasterapi: {_native.version()} ({_native.features()}) {fasterapi.__path__[0]}",
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run under LeakSanitizer (tools/sanitizers.py) that leaked; none otherwise."""
    check = getattr(ctypes.CDLL(None), "__lsan_do_recoverable_leak_check", None)
    if check is None:
        return
    gc.collect()
    if check() != 0:
        print("\nLeakSanitizer found leaks, see above")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
