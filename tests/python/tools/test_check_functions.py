"""The function check finds what is planted: length, decisions, forbidden calls, atomics."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import check_functions
import pytest


def c_function(lines: int, body: str = "    x++;") -> str:
    """A C function of `lines` lines, signature and braces included."""
    return "\n".join(["static int f(int x)", "{", *[body] * (lines - 3), "}", ""])


def python_function(lines: int, body: str = "    x += 1") -> str:
    return "\n".join(["def f(x):", *[body] * (lines - 1), ""])


def test_lengths_are_those_of_an_editor() -> None:
    code = "/* x */\n\nint g(int a,\n      int b)\n{\n    return a;\n}\n\n" + c_function(10)
    g, f = check_functions.c_functions(code)
    assert (g.name, g.line, g.lines) == ("g", 3, 5)
    assert (f.name, f.line, f.lines) == ("f", 9, 10)
    (p,) = check_functions.python_functions(python_function(7))
    assert (p.name, p.line, p.lines) == ("f", 1, 7)


@pytest.mark.parametrize(("name", "make"), [("a.c", c_function), ("a.py", python_function)])
def test_the_cap_on_length(name: str, make: object) -> None:
    assert callable(make)
    assert check_functions.check_file(name, make(120)) == []
    (violation,) = check_functions.check_file(name, make(121))
    assert violation == f"{name}:1: f has 121 lines, more than 120"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a.c", c_function(24, "    if (x) x++;")),
        ("a.c", c_function(14, "    while (x && x || y) x++;")),
        ("a.py", python_function(22, "    x = 1 if x else 2")),
        ("a.py", python_function(12, "    x = [y for y in x if y] and x or z")),
    ],
)
def test_the_cap_on_decisions(name: str, code: str) -> None:
    (violation,) = check_functions.check_file(name, code)
    assert violation.endswith("decisions, more than 20")


def test_braces_and_keywords_in_comments_and_literals_do_not_count() -> None:
    body = '    puts("if (x) { strcpy(a, b); }"); /* if for while && malloc(1) */ // case ?'
    assert check_functions.check_file("src/base/a.c", c_function(100, body)) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a.c", "/* long-function: one table in order */\n" + c_function(130)),
        ("a.py", "# long-function: one table in order\n" + python_function(130)),
    ],
)
def test_a_waiver_needs_a_reason(name: str, code: str) -> None:
    assert check_functions.check_file(name, code) == []
    without = code.replace(" one table in order", "")
    assert len(check_functions.check_file(name, without)) == 1


def test_a_waiver_is_for_the_function_it_stands_above() -> None:
    waived = "/* long-function: one table in order */\n" + c_function(130)
    other = c_function(140).replace(" f(", " g(")
    (violation,) = check_functions.check_file("a.c", f"{waived}\n{other}")
    assert " g has 140 lines" in violation


@pytest.mark.parametrize(
    "call",
    ["strcpy(a, b)", "sprintf(a, b)", "atoi(a)", "strtok(a, b)", "malloc(1)", "free (a)",
     "strdup(a)", "x = y ? calloc(1, 2) : 0"],
)  # fmt: skip
def test_forbidden_calls(call: str) -> None:
    code = f"static int f(int x)\n{{\n    {call};\n}}\n"
    (violation,) = check_functions.check_file("src/http/server.c", code)
    assert violation.startswith("src/http/server.c:3: ")
    assert len(check_functions.check_file("python/ext/task.c", code)) == 1
    assert check_functions.check_file("tests/c/http/server.c", code) == []


@pytest.mark.parametrize(
    "call", ["fa_malloc(1)", "fa_free(a)", "a->free(b)", "a.malloc(1)", "snprintf(a, 1, b)"]
)
def test_calls_that_only_look_forbidden(call: str) -> None:
    code = f"static int f(int x)\n{{\n    {call};\n}}\n"
    assert check_functions.check_file("src/http/server.c", code) == []


@pytest.mark.parametrize(
    "word",
    [
        "_Atomic int x;",
        "atomic_int x;",
        "#include <stdatomic.h>",
        "int y = __atomic_load_n(&x, 0);",
        "__sync_synchronize();",
    ],
)
def test_atomics_belong_to_the_crossings_between_threads(word: str) -> None:
    assert len(check_functions.check_file("src/net/listener.c", f"{word}\n")) == 1
    assert check_functions.check_file("src/loop/mailbox.c", f"{word}\n") == []


def test_the_program_fails_on_a_planted_function_and_on_an_empty_tree(tmp_path: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        script = check_functions.__file__
        return subprocess.run(
            [sys.executable, script, str(tmp_path)], capture_output=True, text=True
        )

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert run().returncode == 1
    (tmp_path / "a.c").write_text(c_function(20))
    assert run().returncode == 0
    (tmp_path / "b.py").write_text(python_function(121))
    failed = run()
    assert failed.returncode == 1
    assert failed.stdout.splitlines() == [
        "b.py:1: f has 121 lines, more than 120",
        "functions: 2 files, 1 violations",
    ]
