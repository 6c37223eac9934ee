"""Other people's asynchronous libraries, used inside handlers as anyone would."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import anyio.from_thread
import anyio.to_thread
import asyncpg
import httpx
import httpx2
import sniffio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)

from fasterapi.testing import LiveServer
from handlers.asking import Ask


def test_sniffio_names_asyncio(ask: Ask) -> None:
    async def handler() -> str:
        return sniffio.current_async_library()

    assert ask(handler) == "asyncio"


def test_anyio_scopes_that_expire_and_that_do_not(ask: Ask) -> None:
    async def handler() -> list[bool]:
        with anyio.move_on_after(0.01) as short:
            await anyio.sleep(30)
        with anyio.move_on_after(30) as long:
            await anyio.sleep(0)
        return [short.cancelled_caught, long.cancelled_caught]

    assert ask(handler) == "[True, False]"


def test_anyio_fail_after(ask: Ask) -> None:
    async def handler() -> str:
        try:
            with anyio.fail_after(0.01):
                await anyio.sleep(30)
        except TimeoutError:
            return "failed"
        return "slept"

    assert ask(handler) == "failed"


def test_an_anyio_scope_cancelled_before_anything_suspends(ask: Ask) -> None:
    async def handler() -> bool:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep(30)
        return scope.cancelled_caught

    assert ask(handler) == "True"


def test_anyio_task_group_with_a_memory_stream(ask: Ask) -> None:
    async def handler() -> list[int]:
        received: list[int] = []
        send, receive = anyio.create_memory_object_stream[int](1)

        async def produce() -> None:
            async with send:
                for number in range(4):
                    await send.send(number)

        async with anyio.create_task_group() as group, receive:
            group.start_soon(produce)
            async for number in receive:
                received.append(number)
        return received

    assert ask(handler) == "[0, 1, 2, 3]"


def test_anyio_lock_knows_its_owner(ask: Ask) -> None:
    async def handler() -> list[object]:
        lock = anyio.Lock()
        async with lock:
            owner = lock.statistics().owner
            assert owner is not None
            try:
                await lock.acquire()
            except RuntimeError:
                return [owner.id == anyio.get_current_task().id, "no dead-lock"]
        return []

    assert ask(handler) == "[True, 'no dead-lock']"


def test_anyio_limiter_and_semaphore_and_event(ask: Ask) -> None:
    async def handler() -> list[int]:
        limiter = anyio.CapacityLimiter(2)
        async with limiter, anyio.Semaphore(1):
            event = anyio.Event()
            event.set()
            await event.wait()
            return [int(limiter.borrowed_tokens), int(limiter.available_tokens)]

    assert ask(handler) == "[1, 1]"


def test_to_thread_and_back_from_it(ask: Ask) -> None:
    async def on_the_loop(value: int) -> int:
        await anyio.sleep(0)
        return value + 1

    def in_a_thread(value: int) -> int:
        return anyio.from_thread.run(on_the_loop, value) * 10

    async def handler() -> int:
        return await anyio.to_thread.run_sync(in_a_thread, 1)

    assert ask(handler) == "20"


def test_an_exception_comes_back_from_a_thread(ask: Ask) -> None:
    def in_a_thread() -> None:
        raise LookupError("in the thread")

    async def handler() -> str:
        try:
            await anyio.to_thread.run_sync(in_a_thread)
        except LookupError as exc:
            return str(exc)
        return "nothing"

    assert ask(handler) == "in the thread"


async def _small_application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"from another server"})


def test_httpx_calls_another_server(ask: Ask) -> None:
    with LiveServer(_small_application, lifespan="off") as other:

        async def handler() -> str:
            async with httpx.AsyncClient() as client:
                return (await client.get(other.base_url)).text

        assert ask(handler) == "from another server"


def test_httpx2_calls_another_server(ask: Ask) -> None:
    with LiveServer(_small_application, lifespan="off") as other:

        async def handler() -> str:
            async with httpx2.AsyncClient() as client:
                return (await client.get(other.base_url)).text

        assert ask(handler) == "from another server"


def test_aiosqlite(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "test.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE tea (name TEXT)")
        connection.execute("INSERT INTO tea VALUES ('oolong')")
    connection.close()

    async def handler() -> str:
        async with aiosqlite.connect(path) as db, db.execute("SELECT name FROM tea") as rows:
            row = await rows.fetchone()
            assert row is not None
            return str(row[0])

    assert ask(handler) == "oolong"


def test_asyncpg_against_a_real_server(ask: Ask, postgres: str) -> None:
    async def handler() -> list[int]:
        connection = await asyncpg.connect(postgres)
        try:
            async with connection.transaction():
                rows = await connection.fetch("SELECT generate_series(1, $1) AS n", 3)
            return [row["n"] for row in rows]
        finally:
            await connection.close()

    assert ask(handler) == "[1, 2, 3]"


def test_sqlalchemys_scoped_session_is_the_tasks_own(ask: Ask, tmp_path: Path) -> None:
    import asyncio

    async def handler() -> list[object]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'orm.sqlite3'}")
        scoped: async_scoped_session[AsyncSession] = async_scoped_session(
            async_sessionmaker(engine), scopefunc=asyncio.current_task
        )
        mine = scoped()
        assert scoped() is mine

        async def child() -> bool:
            try:
                return scoped() is mine
            finally:
                await scoped.remove()

        shared = await asyncio.create_task(child())
        value = (await scoped.execute(text("SELECT 42"))).scalar()
        assert scoped() is mine
        await scoped.remove()
        await engine.dispose()
        return [shared, value]

    assert ask(handler) == "[False, 42]"
