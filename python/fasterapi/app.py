"""The application class: FastAPI itself, under this package's name."""

from __future__ import annotations

from fastapi import FastAPI

__all__ = ["App"]


class App(FastAPI):
    """A ``fastapi.FastAPI`` application; takes the same arguments and behaves the same.

    Everything FastAPI has works on it: decorators, routers, ``Depends``, security, OpenAPI,
    lifespan, middleware, mounts, ``TestClient``. Serve it with ``fasterapi run module:app`` or
    :func:`fasterapi.run`; any other ASGI server serves it too.
    """
