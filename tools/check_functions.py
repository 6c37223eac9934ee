"""Holds functions short and forbidden calls out.

A function has at most 120 lines and 20 decisions, in C and in Python. One that must have
more says why in its first lines or in the comment above it:

    /* long-function: one table, and splitting it would hide the order */
    # long-function: ...

Forbidden in C: the libc functions that overrun or hide errors (strcpy, sprintf, atoi, ...),
bare malloc and its kin outside base/alloc.c, and atomics outside the files that own one of
the three crossings between threads. Tests and benchmarks may use any of these.

Prints each violation as path:line: what; exits 1 if there is one.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MAX_LINES = 120
MAX_DECISIONS = 20
WAIVER = re.compile(r"long-function:\s*\S+")
EMPTY_WAIVER = re.compile(r"long-function:\s*(\*/)?\s*$")

# Where the rules on calls hold: what is shipped.
SHIPPED = ("src/", "include/", "python/ext/")

_CALL = r"(?<![\w.>]){}\s*\("
BANNED: tuple[tuple[re.Pattern[str], str, tuple[str, ...]], ...] = (
    (
        re.compile(
            _CALL.format(
                r"(strcpy|strcat|strncpy|strncat|stpcpy|sprintf|vsprintf|gets|atoi|atol|atoll|atof"
                r"|strtok|sscanf|alloca|system|signal|asctime|ctime|gmtime|localtime)"
            )
        ),
        "is forbidden: it overruns, hides errors or is not safe in threads",
        (),
    ),
    (
        re.compile(
            _CALL.format(r"(malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf)")
        ),
        "bypasses the allocator: use fa_malloc and its kin",
        ("src/base/alloc.c",),
    ),
    (
        re.compile(r"\b(_Atomic|atomic_\w+|__atomic_\w+|__sync_\w+|stdatomic\.h)\b"),
        "is an atomic outside the mailbox, the executor's rings and the router's publication",
        (
            "src/loop/executor.c",
            "src/loop/executor_int.h",
            "src/loop/executor_threads.c",
            "src/loop/mailbox.c",
            "src/loop/mailbox.h",
            "src/loop/ring.c",
            "src/loop/ring.h",
            "src/http/router.c",
        ),
    ),
)

_NOISE = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE,
)
_DECISION_C = re.compile(r"\b(?:if|for|while|case)\b|&&|\|\||\?")


@dataclass(frozen=True)
class Function:
    """A function as found: 1-based first line of its signature, length, decisions."""

    name: str
    line: int
    lines: int
    decisions: int
    waived: bool


def blank(code: str) -> str:
    """C without comments and literals; every line break stays where it was."""

    def spaces(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return _NOISE.sub(spaces, code)


def c_functions(code: str) -> list[Function]:
    """The functions of a C file in this project's layout: a body opens and closes with a
    brace in the first column, and the line before the opening one ends the signature."""
    raw = code.splitlines()
    lines = blank(code).splitlines()
    found = []
    start = None
    for index, line in enumerate(lines):
        if line.startswith("{") and index > 0 and lines[index - 1].rstrip().endswith(")"):
            start = index
        elif line.startswith("}") and start is not None:
            first = _signature_start(lines, start)
            body = lines[start : index + 1]
            found.append(
                Function(
                    _c_name(" ".join(lines[first:start])),
                    first + 1,
                    index - first + 1,
                    sum(len(_DECISION_C.findall(each)) for each in body),
                    _is_waived(_comment_above(raw, first) + raw[first : start + 4]),
                )
            )
            start = None
    return found


def _signature_start(lines: list[str], brace: int) -> int:
    """The first line of the signature that ends just above the line `brace`."""
    first = brace - 1
    while first > 0:
        above = lines[first - 1]
        if not above.strip() or above.startswith(("#", "}", "{")) or above.rstrip().endswith(";"):
            break
        first -= 1
    return first


def _comment_above(raw: list[str], first: int) -> list[str]:
    above = first - 1
    while above >= 0 and raw[above].startswith(("/*", " *", "//")):
        above -= 1
    return raw[above + 1 : first]


def _c_name(signature: str) -> str:
    match = re.search(r"(\w+)\s*\(", signature)
    return match[1] if match else "?"


def _is_waived(lines: list[str]) -> bool:
    return any(WAIVER.search(line) and not EMPTY_WAIVER.search(line) for line in lines)


_DECISION_PYTHON = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.IfExp,
    ast.comprehension,
    ast.match_case,
)


def python_functions(code: str) -> list[Function]:
    """The functions of a Python file; an inner one counts for itself and its outer one."""
    raw = code.splitlines()
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decisions = 0
        for inner in ast.walk(node):
            decisions += isinstance(inner, _DECISION_PYTHON)
            decisions += len(inner.values) - 1 if isinstance(inner, ast.BoolOp) else 0
        end = node.end_lineno or node.lineno
        above = raw[max(0, node.lineno - 4) : node.lineno + 3]
        length = end - node.lineno + 1
        found.append(Function(node.name, node.lineno, length, decisions, _is_waived(above)))
    return found


def check_file(name: str, code: str) -> list[str]:
    """The violations in one file; `name` is its path from the root, with slashes."""
    is_c = name.endswith((".c", ".h"))
    violations = []
    for function in c_functions(code) if is_c else python_functions(code):
        where = f"{name}:{function.line}: {function.name}"
        if function.waived:
            continue
        if function.lines > MAX_LINES:
            violations.append(f"{where} has {function.lines} lines, more than {MAX_LINES}")
        if function.decisions > MAX_DECISIONS:
            violations.append(f"{where} has {function.decisions} decisions, more than 20")
    if is_c and name.startswith(SHIPPED):
        for number, line in enumerate(blank(code).splitlines(), 1):
            for pattern, why, owners in BANNED:
                match = pattern.search(line)
                if match and name not in owners:
                    violations.append(f"{name}:{number}: {match[0].rstrip('( ')} {why}")
    return violations


def sources(root: Path) -> list[str]:
    """The C and Python files of the tree, as git knows them, new ones included."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "--",
         "*.c", "*.h", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.splitlines() if (root / name).is_file()]


def main() -> int:
    parser = argparse.ArgumentParser(description="Function lengths and forbidden calls.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parent.parent)
    root = parser.parse_args().root.resolve()
    names = sources(root)
    if not names:
        print(f"no C or Python file in {root}", file=sys.stderr)
        return 1
    violations = [v for name in names for v in check_file(name, (root / name).read_text())]
    for violation in violations:
        print(violation)
    print(f"functions: {len(names)} files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
