"""From ``"module:attribute"`` to the application object.

The sentences of :class:`ApplicationNotFound` are for the person at the terminal. An error
*inside* the user's module is not translated: its traceback is what that person needs.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["ApplicationNotFound", "import_application"]


class ApplicationNotFound(Exception):
    """The import string does not lead to an application; ``str()`` is one clear sentence."""


def import_application(spec: str, *, app_dir: str | None = "", factory: bool = False) -> Any:
    """Import ``spec`` and return the application it names.

    ``spec`` is ``"package.module:name"`` or ``"package.module:outer.inner"``. ``app_dir`` (the
    current folder by default, None for no change) is put in front of ``sys.path`` first, as
    uvicorn does. With ``factory`` the named object is called without arguments and its result
    is the application.

    Raises :class:`ApplicationNotFound` for a malformed string, a module or attribute that does
    not exist, or an object that cannot be called; whatever the module itself raises goes
    through unchanged.
    """
    if app_dir is not None and app_dir not in sys.path:
        sys.path.insert(0, app_dir)
    module_name, colon, attribute_path = spec.partition(":")
    if not module_name or not colon or not attribute_path:
        raise ApplicationNotFound(
            f'"{spec}" does not name an application: write it as "<module>:<attribute>".'
        )
    found = _attribute(_module(module_name), module_name, attribute_path)
    if factory:
        if not callable(found):
            raise ApplicationNotFound(f'"{spec}" is not callable, so it is not a factory.')
        found = found()
    if not callable(found):
        raise ApplicationNotFound(
            f'"{spec}" is a {type(found).__name__}, not an ASGI application (it cannot be called).'
        )
    return found


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        # A missing module of that very name (or one of its parents) is the caller's mistake;
        # any other one is an import inside the user's code.
        if exc.name is None or not (name == exc.name or name.startswith(exc.name + ".")):
            raise
        raise ApplicationNotFound(f'Could not import module "{name}".') from None


def _attribute(module: Any, module_name: str, path: str) -> Any:
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ApplicationNotFound(
                f'Attribute "{path}" not found in module "{module_name}".'
            ) from None
    return found
