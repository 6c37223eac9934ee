"""Set-up: which Pythons it finds, what it says is missing, what it does when it may not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import packages
import pytest
import pythons
from packages import Need, SetupError
from pythons import Python

TOOLS = Path(packages.__file__).parent


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "text",
    ["echo 'pyenv: python3: command not found' >&2; exit 127", "echo 3.13", "exit 0", "kill -9 $$"],
)
def test_a_stand_in_that_does_not_run_python_is_not_a_python(tmp_path: Path, text: str) -> None:
    assert pythons.probe(str(program(tmp_path / "python3", text))) is None


def test_a_program_that_is_not_there_is_not_a_python(tmp_path: Path) -> None:
    assert pythons.probe(str(tmp_path / "python3")) is None


def test_this_python_is_found_behind_a_broken_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "broken" / "python3", "exit 127")
    real = program(tmp_path / "real one" / "python3", f'exec "{sys.executable}" "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'broken'}:{real.parent}")
    minors = {python.minor: python for python in pythons.find()}
    this = minors[f"{sys.version_info.major}.{sys.version_info.minor}"]
    assert os.access(this.path, os.X_OK)


def test_the_launcher_passes_over_a_broken_stand_in(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11"):
        program(tmp_path / name, "exit 127")
    program(tmp_path / "python3", f'exec "{sys.executable}" "$@"')
    done = subprocess.run(
        [str(TOOLS / "python"), "-c", "import sys; print(sys.prefix)"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == sys.prefix


def test_the_launcher_says_what_to_install(tmp_path: Path) -> None:
    text = (TOOLS / "python").read_text()
    for folder in ("/usr/local/bin", "/opt/python"):
        assert folder in text
        text = text.replace(folder, "/nonexistent")
    launcher = program(tmp_path / "launcher", text)
    done = subprocess.run(
        [str(launcher), "-V"],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "apt-get install python3 python3-venv python3-dev" in done.stderr


def test_a_debian_python_names_the_packages_that_complete_it() -> None:
    bare = Python("/usr/bin/python3.11", (3, 11, 2), frozenset({"venv", "dev", "testsuite"}))
    if not os.path.exists("/var/lib/dpkg/status"):
        assert bare.packages(packages.PYTHON_PARTS["test"]) == []
        return
    assert bare.packages(packages.PYTHON_PARTS["run"]) == ["python3.11-dev", "python3.11-venv"]
    assert "libpython3.11-testsuite" in bare.packages(packages.PYTHON_PARTS["test"])
    elsewhere = Python("/opt/python/bin/python3.11", (3, 11, 2), bare.lacks)
    assert elsewhere.packages(packages.PYTHON_PARTS["test"]) == []


@pytest.fixture
def needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    need = Need(("some-package", "another"), lambda: False)
    monkeypatch.setitem(packages.COMMANDS, "run", (need,))


@pytest.mark.usefixtures("needs_a_package")
def test_what_is_missing_is_said_where_it_may_not_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packages.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(packages, "_as_root", lambda: None)
    with pytest.raises(SetupError, match="apt-get install some-package another"):
        packages.ensure("run", ())


@pytest.mark.usefixtures("needs_a_package")
def test_what_is_missing_is_said_where_there_is_no_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(SetupError, match="some-package another"):
        packages.ensure("run", ())


@pytest.mark.usefixtures("needs_a_package")
def test_an_installation_that_did_not_help_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    monkeypatch.setattr(packages, "install", installed.extend)
    with pytest.raises(SetupError, match="still not usable: some-package another"):
        packages.ensure("run", ())
    assert installed == ["some-package", "another"]


def test_a_failing_apt_is_tried_again_after_an_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    program(
        tmp_path / "apt-get",
        f'echo "$*" >> "{log}"; [ -e "{tmp_path}/lists" ] && exit 0\n'
        f'case "$*" in *update) touch "{tmp_path}/lists"; exit 0;; esac; exit 100',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(packages, "_as_root", list)
    packages.install(["thing"])
    calls = [line.split()[1] for line in log.read_text().splitlines()]
    assert calls == ["install", "update", "install"]
