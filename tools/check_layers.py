"""Holds the layers apart: greps the includes and the Python imports.

    base <- proto      base <- loop <- net      http = net + proto

`python/ext` and the C examples include only installed headers, so that the binding and the
examples prove that the library stands alone. A codec in `proto` sees no socket and no clock.
`cheap` and the Python examples use only public names of `fasterapi`. Every source file of
`src` has its test of the same name in `tests/c`.

Prints each violation as path:line: what; exits 1 if there is one.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# Which layers each layer of src/ may include.
MAY_SEE: dict[str, frozenset[str]] = {
    "base": frozenset({"base"}),
    "proto": frozenset({"base", "proto"}),
    "loop": frozenset({"base", "loop"}),
    "net": frozenset({"base", "loop", "net"}),
    "http": frozenset({"base", "proto", "loop", "net", "http"}),
}

# The layer each installed header belongs to.
HEADER_LAYER: dict[str, str] = {
    "alloc.h": "base",
    "buf.h": "base",
    "compiler.h": "base",
    "error.h": "base",
    "header.h": "base",
    "list.h": "base",
    "log.h": "base",
    "span.h": "base",
    "version.h": "base",
    "status.h": "proto",
    "urlencoded.h": "proto",
    "executor.h": "loop",
    "future.h": "loop",
    "reactor.h": "loop",
    "http.h": "http",
    "router.h": "http",
    "server.h": "http",
}

# System headers that only some files may include: header pattern -> path patterns.
RESERVED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"sys/epoll\.h", (r"src/loop/epoll\.[ch]",)),
    (r"sys/eventfd\.h", (r"src/loop/",)),
    (r"sys/signalfd\.h", (r"src/loop/",)),
    (r"sys/timerfd\.h", (r"src/loop/",)),
    # What a codec must not see: sockets, descriptors, clocks, threads.
    (
        r"sys/socket\.h|sys/un\.h|netinet/.*|arpa/.*|netdb\.h|sys/uio\.h|sys/sendfile\.h"
        r"|poll\.h|unistd\.h|fcntl\.h|time\.h|sys/time\.h|pthread\.h|stdio\.h",
        (r"src/(base|loop|net|http)/", r"python/ext/"),
    ),
)

_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Tree:
    """The files of a source tree and the violations found in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.violations: list[str] = []

    def files(self, folder: str, *suffixes: str) -> list[Path]:
        top = self.root / folder
        return sorted(path for path in top.rglob("*") if path.suffix in suffixes)

    def report(self, path: Path, line: int, text: str) -> None:
        self.violations.append(f"{path.relative_to(self.root)}:{line}: {text}")


def _includes(path: Path) -> Iterator[tuple[int, bool, str]]:
    """Line, whether in quotes, and name of each include."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = _INCLUDE.match(line)
        if match:
            yield number, match[1] == '"', match[2]


def _check_system_header(tree: Tree, path: Path, line: int, name: str) -> None:
    where = path.relative_to(tree.root).as_posix()
    for header, allowed in RESERVED:
        if re.fullmatch(header, name) and not any(re.match(each, where) for each in allowed):
            tree.report(path, line, f"<{name}> has no business here")


def _public_header_layer(tree: Tree, path: Path, line: int, name: str) -> str | None:
    layer = HEADER_LAYER.get(name.removeprefix("fasterapi/"))
    if layer is None:
        tree.report(path, line, f"<{name}> is in no layer; name it in tools/check_layers.py")
    return layer


def _check_one_source(tree: Tree, path: Path, layer: str) -> None:
    for line, quoted, name in _includes(path):
        if quoted:
            target = name.split("/")[0]
            if not (tree.root / "src" / name).exists():
                tree.report(path, line, f'"{name}" is not written from src/, or does not exist')
                continue
        elif name.startswith("fasterapi/"):
            found = _public_header_layer(tree, path, line, name)
            if found is None:
                continue
            target = found
        else:
            _check_system_header(tree, path, line, name)
            continue
        if target not in MAY_SEE[layer]:
            tree.report(path, line, f"{layer} must not see {target} ({name})")


def check_sources(tree: Tree) -> None:
    """src/: each layer sees only those below it."""
    for path in tree.files("src", ".c", ".h"):
        layer = path.relative_to(tree.root / "src").parts[0]
        if layer in MAY_SEE:
            _check_one_source(tree, path, layer)
        else:
            tree.report(path, 1, f"src/{layer} is in no layer; name it in tools/check_layers.py")


def check_public_headers(tree: Tree) -> None:
    """include/: installed headers include installed headers, of their layer or below."""
    for path in tree.files("include", ".h"):
        layer = _public_header_layer(tree, path, 1, f"fasterapi/{path.name}")
        if layer is None:
            continue
        for line, quoted, name in _includes(path):
            if quoted:
                tree.report(path, line, f'an installed header must not include "{name}"')
            elif name.startswith("fasterapi/"):
                target = _public_header_layer(tree, path, line, name)
                if target is not None and target not in MAY_SEE[layer]:
                    tree.report(path, line, f"{layer} must not see {target} ({name})")


def check_outsiders(tree: Tree) -> None:
    """python/ext and examples/c: installed headers and their own files, nothing of src/."""
    for folder in ("python/ext", "examples/c"):
        for path in tree.files(folder, ".c", ".h"):
            for line, quoted, name in _includes(path):
                if quoted and not (path.parent / name).exists():
                    if not (tree.root / folder / name).exists():
                        tree.report(path, line, f'"{name}" is not a file of {folder}')
                elif not quoted and name.startswith("fasterapi/"):
                    _public_header_layer(tree, path, line, name)


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a Python file imports."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def check_python(tree: Tree) -> None:
    """`fasterapi` does not know `cheap`; `cheap` and the examples import public names."""
    for path in tree.files("python/fasterapi", ".py", ".pyi"):
        for line, name in _imports(path):
            if name.split(".")[0] == "cheap":
                tree.report(path, line, f"fasterapi must not see cheap ({name})")
    for folder in ("python/cheap", "examples/python"):
        for path in tree.files(folder, ".py", ".pyi"):
            for line, name in _imports(path):
                first, *rest = name.split(".")
                if first == "fasterapi" and any(part.startswith("_") for part in rest):
                    tree.report(path, line, f"{name} is private to fasterapi")


def check_mirror(tree: Tree) -> None:
    """Every source file has its test: src/loop/epoll.c in tests/c/loop/epoll.c (or
    test_epoll.c). A part of a unit, router_match.c, may be tested with it, in router.c."""
    for path in tree.files("src", ".c"):
        folder = tree.root / "tests" / "c" / path.relative_to(tree.root / "src").parent
        words = path.stem.split("_")
        stems = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
        names = [name for stem in stems for name in (f"{stem}.c", f"test_{stem}.c")]
        if not any((folder / name).exists() for name in names):
            wanted = (folder / path.name).relative_to(tree.root)
            tree.report(path, 1, f"has no test: {wanted} is missing")


def check(root: Path) -> list[str]:
    """The violations in the tree at `root`."""
    tree = Tree(root)
    check_sources(tree)
    check_public_headers(tree)
    check_outsiders(tree)
    check_python(tree)
    check_mirror(tree)
    return tree.violations


def main() -> int:
    parser = argparse.ArgumentParser(description="Holds the layers apart.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parent.parent)
    violations = check(parser.parse_args().root.resolve())
    for violation in violations:
        print(violation)
    print(f"layers: {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
