"""How an unmodified CPython runs the extension that was built with ASan and UBSan.

The run-time library must be there before the interpreter's own allocations, so it is
preloaded, and Python must ask malloc for each object, or ASan would see its arenas only.
Leaks are looked for at the end of the test process (tests/python/conftest.py), not in every
program a test starts: compilers and database servers leak at exit, and may.
"""

from __future__ import annotations

import os
import subprocess

from builds import ROOT


def _runtime(name: str) -> str:
    """The path of the compiler's sanitizer library `name`."""
    compiler = os.environ.get("CC", "cc")
    done = subprocess.run(
        [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    path = os.path.realpath(done.stdout.strip())
    if not os.path.isabs(path) or not os.path.exists(path):
        raise FileNotFoundError(f"{compiler} has no {name}")
    return path


def address() -> dict[str, str]:
    """The environment for ASan and UBSan in a Python process. Raises FileNotFoundError."""
    suppressions = ROOT / "tools" / "lsan.supp"
    return {
        "LD_PRELOAD": _runtime("libasan.so"),
        "PYTHONMALLOC": "malloc",
        # Three frames: malloc, fa_malloc, its caller. With more of them every stack would
        # reach into the interpreter, and lsan.supp could not tell its leaks from ours.
        "ASAN_OPTIONS": "detect_leaks=1:leak_check_at_exit=0:malloc_context_size=3"
        ":allocator_may_return_null=1:detect_stack_use_after_return=1",
        "LSAN_OPTIONS": f"suppressions='{suppressions}':print_suppressions=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }


def in_c_tests(flavour: str) -> dict[str, str]:
    """The environment for C tests of a build type with sanitizers; empty for others."""
    if flavour == "asan":
        return {
            "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:abort_on_error=1",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        }
    if flavour == "tsan":
        return {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"}
    return {}
