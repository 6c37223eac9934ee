"""Which contenders and scenarios a command line means, and what it says when none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fabench import cli, contenders, imports, install, toolchain, workloads
from fabench.errors import BenchError
from fabench.model import Family, Role


def names(*patterns: str) -> list[str]:
    return [entry.name for entry in contenders.choose(patterns)]


def test_default_leaves_variants_out() -> None:
    chosen = contenders.choose(())
    assert not any(entry.variant for entry in chosen)
    assert {entry.role for entry in chosen} == set(Role)


def test_roles_and_patterns() -> None:
    assert names("peers") == ["uvicorn", "granian", "fastpysgi", "socketify", "socketify-api"]
    assert names("uvicorn") == ["uvicorn"]
    assert "uvicorn-zttp" in names("uvicorn*")
    assert names("granian", "limit") == ["limit", "granian"]


def test_unknown_contender_names_the_known() -> None:
    with pytest.raises(BenchError, match=r"no contender fits 'unicorn'.*fastpysgi"):
        contenders.choose(("unicorn",))


def test_names_are_unique() -> None:
    every = [entry.name for entry in contenders.CONTENDERS]
    assert len(every) == len(set(every))
    keys = workloads.scenario_keys()
    assert len(keys) == len(set(keys))


def test_restricted_contender() -> None:
    spin = contenders.by_name("fasterapi-spin")
    assert spin is not None
    assert spin.takes_part("raw-c1", Family.RAW)
    assert not spin.takes_part("raw-c64", Family.RAW)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    tools = toolchain.Toolchain(python=Path(sys.executable), build=tmp_path, wrk="")
    limit = contenders.by_name("limit")
    fastpysgi = contenders.by_name("fastpysgi")
    assert limit is not None and fastpysgi is not None
    assert str(limit.missing(tools)).endswith("limit_epoll not built")
    if "fastpysgi" not in tools.versions:
        assert "fastpysgi not installed" in str(fastpysgi.missing(tools))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "raw-c9"], "no scenario fits 'raw-c9'"),
        (["--python", "/nowhere/python"], "there is no /nowhere/python"),
        (["--report", "/nowhere.json"], "cannot be read"),
    ],
)
def test_errors_are_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_missing_wrk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert cli.main(["--quick", "--python", sys.executable]) == 2
    assert "apt-get install wrk" in capsys.readouterr().err


def test_settings_can_be_overridden() -> None:
    options = cli.build_parser().parse_args(["--quick", "--rounds", "7", "--only", "raw-*,idle"])
    assert cli._settings(options).rounds == 7
    chosen = cli._scenarios(options, cli._settings(options))
    assert chosen == {"raw-c1", "raw-c64", "raw-c512", "raw-p16", "idle"}


def test_import_times() -> None:
    text = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       120 |        120 |   fasterapi._native\n"
        "import time:        30 |        150 | fasterapi\n"
        "import time:       900 |        900 |   fastapi\n"
    )
    assert imports.slowest_modules(text, "fasterapi") == [
        ("fasterapi._native", 120),
        ("fasterapi", 30),
    ]


def test_digest_sees_content_and_names(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a.c").write_text("one")
    first = install.digest([folder])
    (folder / "a.pyc").write_text("byte code")
    assert install.digest([folder]) == first
    (folder / "a.c").write_text("two")
    second = install.digest([folder])
    (folder / "a.c").rename(folder / "b.c")
    assert len({first, second, install.digest([folder])}) == 3
