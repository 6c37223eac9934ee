"""The layer check finds each kind of violation when one is planted, and nothing else."""

from __future__ import annotations

from pathlib import Path

import check_layers
import pytest

ROOT = Path(check_layers.__file__).resolve().parent.parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree that obeys every rule."""
    files = {
        "include/fasterapi/span.h": "#include <string.h>\n",
        "include/fasterapi/http.h": "#include <fasterapi/span.h>\n",
        "src/base/span.c": "#include <fasterapi/span.h>\n#include <time.h>\n",
        "src/base/arena.h": "",
        "src/proto/h1/head.c": '#include "base/arena.h"\n#include <fasterapi/span.h>\n',
        "src/loop/epoll.c": "#include <sys/epoll.h>\n",
        "src/net/listener.c": '#include "base/arena.h"\n#include <sys/socket.h>\n',
        "src/http/server.c": '#include "proto/h1/head.h"\n#include <fasterapi/http.h>\n',
        "src/proto/h1/head.h": "",
        "python/ext/module.c": '#include <Python.h>\n#include "state.h"\n',
        "python/ext/state.h": "#include <fasterapi/http.h>\n",
        "python/fasterapi/app.py": "from fasterapi._native import version\n",
        "examples/c/hello.c": "#include <fasterapi/http.h>\n",
        "examples/python/shop.py": "from fasterapi import App\n",
        "tests/c/base/span.c": "",
        "tests/c/proto/h1/head.c": "",
        "tests/c/loop/epoll.c": "",
        "tests/c/net/listener.c": "",
        "tests/c/http/server.c": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_tree_that_obeys_has_no_violations(tree: Path) -> None:
    assert check_layers.check(tree) == []


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("src/base/span.c", '#include "proto/h1/head.h"', "base must not see proto"),
        ("src/base/span.c", "#include <fasterapi/http.h>", "base must not see http"),
        ("src/proto/h1/head.c", '#include "net/listener.h"', "not written from src/"),
        ("src/proto/h1/head.c", "#include <sys/socket.h>", "<sys/socket.h> has no business"),
        ("src/proto/h1/head.c", "#include <time.h>", "<time.h> has no business"),
        ("src/net/listener.c", '#include "proto/h1/head.h"', "net must not see proto"),
        ("src/net/listener.c", "#include <sys/epoll.h>", "<sys/epoll.h> has no business"),
        ("src/http/server.c", '#include "../base/arena.h"', "not written from src/"),
        ("src/http/server.c", "#include <fasterapi/new.h>", "in no layer"),
        ("include/fasterapi/span.h", "#include <fasterapi/http.h>", "base must not see http"),
        ("include/fasterapi/span.h", '#include "base/arena.h"', "an installed header"),
        ("python/ext/module.c", '#include "base/arena.h"', "is not a file of python/ext"),
        ("examples/c/hello.c", '#include "proto/h1/head.h"', "is not a file of examples/c"),
        ("python/fasterapi/app.py", "import cheap.dao", "fasterapi must not see cheap"),
        ("examples/python/shop.py", "import fasterapi._native", "is private to fasterapi"),
        ("examples/python/shop.py", "from fasterapi import _native", "is private to fasterapi"),
    ],
)
def test_a_planted_line_is_found(tree: Path, name: str, line: str, said: str) -> None:
    path = tree / name
    path.write_text(f"{path.read_text()}{line}\n")
    violations = check_layers.check(tree)
    assert len(violations) == 1
    assert violations[0].startswith(f"{name}:{len(path.read_text().splitlines())}: ")
    assert said in violations[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("include/fasterapi/new.h", "in no layer"),
        ("src/ftp/client.c", "src/ftp is in no layer"),
        ("src/base/untested.c", "tests/c/base/untested.c is missing"),
    ],
)
def test_a_planted_file_is_found(tree: Path, name: str, said: str) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    assert any(said in violation for violation in check_layers.check(tree))


@pytest.mark.parametrize("test", ["router_match.c", "test_router_match.c", "router.c"])
def test_a_part_may_be_tested_with_its_unit(tree: Path, test: str) -> None:
    (tree / "src" / "http" / "router_match.c").write_text("")
    assert len(check_layers.check(tree)) == 1
    (tree / "tests" / "c" / "http" / test).write_text("")
    assert check_layers.check(tree) == []


def test_every_header_that_is_placed_exists() -> None:
    headers = {path.name for path in (ROOT / "include" / "fasterapi").glob("*.h")}
    assert set(check_layers.HEADER_LAYER) == headers
