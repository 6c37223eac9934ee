"""Handlers under test: each runs first without a suspension before it and then behind one,
on both kinds of task, inside a real server."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from fasterapi.testing import LiveServer
from handlers.asking import Application, Ask, Handler


def _application(handler: Handler, *, suspended: bool) -> Application:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if suspended:
            await asyncio.sleep(0)
        body = str(await handler()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.fixture(params=["native", "asyncio"])
def task_impl(request: pytest.FixtureRequest) -> Literal["native", "asyncio"]:
    """Which task drives the handlers."""
    kind: Literal["native", "asyncio"] = request.param
    return kind


@pytest.fixture(params=[False, True], ids=["first-step", "suspended"])
def suspended(request: pytest.FixtureRequest) -> bool:
    """Whether the handler is reached behind a suspension of its task."""
    return bool(request.param)


@pytest.fixture
def ask(task_impl: Literal["native", "asyncio"], suspended: bool) -> Ask:
    """Serve one handler and give the text that it returned to a client.

    An exception in the handler is raised here.
    """

    def ask(handler: Handler, **options: Any) -> str:
        app = _application(handler, suspended=suspended)
        with LiveServer(app, lifespan="off", task_impl=task_impl, **options) as server:
            answer = httpx.get(server.base_url)
            server.settle()
            raised = server.take_exception()
            if raised is not None:
                raise raised
            assert answer.status_code == 200
            return answer.text

    return ask


def _postgres_folder() -> Path:
    for parent in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (parent / "initdb").exists():
            return parent
    found = shutil.which("initdb")
    if found is None:
        pytest.fail("PostgreSQL's server is not installed (Debian package postgresql)")
    return Path(found).resolve().parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A throwaway PostgreSQL on a Unix socket; the address as a URL for clients."""
    programs = _postgres_folder()
    # A socket's path may have no more than 107 bytes, so not below pytest's folder.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    # The server refuses to run as root.
    as_user: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user.update(user="postgres", group="postgres", extra_groups=[])
    # A sanitizer that is preloaded into the tests is not meant for PostgreSQL: under one, initdb
    # takes minutes.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    as_user["env"] = environment
    run: dict[str, Any] = {"check": True, "capture_output": True, "timeout": 50, **as_user}
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "test", "-A", "trust", "-N"], **run
    )
    settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control = [programs / "pg_ctl", "-D", folder / "data", "-w"]
    subprocess.run([*control, "-o", settings, "-l", folder / "log", "start"], **run)
    try:
        yield f"postgresql://test@/postgres?host={folder}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder)
