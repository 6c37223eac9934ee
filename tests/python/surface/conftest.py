"""A folder with the applications, and a way to run the command in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from surface import applications
from surface.command import Command, script

Run = Callable[..., Command]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in dir(applications):
        if name.isupper():
            (tmp_path / f"{name.lower()}.py").write_text(getattr(applications, name))
    return tmp_path


@pytest.fixture
def run(execute: Run) -> Run:
    """Start ``fasterapi ARGUMENTS`` in the folder; killed at the end of the test.

    It is the installed script: ``python -m`` makes the current folder importable by itself.
    """

    def start(*arguments: str, **environment: str) -> Command:
        return execute(script("fasterapi"), *arguments, **environment)

    return start


@pytest.fixture
def execute(folder: Path) -> Iterator[Run]:
    """Start a program in the folder; killed at the end of the test."""
    with ExitStack() as stack:

        def start(*arguments: str, **options: Any) -> Command:
            return stack.enter_context(Command(folder, *arguments, **options))

        yield start
