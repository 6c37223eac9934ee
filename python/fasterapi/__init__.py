"""FastAPI applications served from a C reactor.

``App`` is ``fastapi.FastAPI``; ``run`` (or ``fasterapi run module:app``) serves it and any other
ASGI application; ``Server`` serves inside a program that has a loop already; ``Loop`` is the
asyncio event loop underneath. The names are imported when they are first used, so that
``import fasterapi`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fasterapi._native import __version__

if TYPE_CHECKING:
    from fastapi import Depends

    from fasterapi._config import Config
    from fasterapi._run import run
    from fasterapi.app import App
    from fasterapi.loop import Loop, new_event_loop
    from fasterapi.server import ClientDisconnected, Server

__all__ = [
    "App",
    "ClientDisconnected",
    "Config",
    "Depends",
    "Loop",
    "Server",
    "__version__",
    "new_event_loop",
    "run",
]

_HOME = {
    "App": "fasterapi.app",
    "ClientDisconnected": "fasterapi.server",
    "Config": "fasterapi._config",
    "Depends": "fastapi",
    "Loop": "fasterapi.loop",
    "Server": "fasterapi.server",
    "new_event_loop": "fasterapi.loop",
    "run": "fasterapi._run",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
