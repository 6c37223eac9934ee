"""Import strings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fasterapi._importer import ApplicationNotFound, import_application


@pytest.fixture(autouse=True)
def fresh_imports() -> Iterator[None]:
    before = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = before[0]
    for name in set(sys.modules) - before[1]:
        del sys.modules[name]


def test_an_attribute_of_an_attribute(folder: Path) -> None:
    found = import_application("hello:Namespace.inner", app_dir=str(folder))
    assert callable(found)


def test_a_factory_is_called_once(folder: Path) -> None:
    found = import_application("hello:make", app_dir=str(folder), factory=True)
    assert found is import_application("hello:app", app_dir=None)


@pytest.mark.parametrize("spec", ["", "hello", ":app", "hello:", "no.such:app", "hello:a.b"])
def test_what_leads_nowhere(folder: Path, spec: str) -> None:
    with pytest.raises(ApplicationNotFound):
        import_application(spec, app_dir=str(folder))


def test_a_factory_that_cannot_be_called(folder: Path) -> None:
    with pytest.raises(ApplicationNotFound, match="not a factory"):
        import_application("hello:not_callable", app_dir=str(folder), factory=True)


def test_an_import_inside_the_module_fails_as_itself(folder: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        import_application("broken_import:app", app_dir=str(folder))
