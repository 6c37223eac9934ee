"""What receive() and send() return, taken as what it claims to be: a coroutine."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import inspect
import sys
import threading
from typing import Any

import anyio
import pytest

from asgi.serving import Serve
from asgi.wire import respond


def run(serve: Serve, check: Any, *, body: bytes = b"") -> Any:
    """Run ``check(scope, receive, send)`` as an application; what it returns or raises."""
    results: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        results.append(await check(scope, receive, send))
        await respond(send)

    server = serve(app)
    with server.connect() as client:
        client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    server.settle()
    raised = server.take_exception()
    if raised is not None:
        raise raised
    return results[0]


def test_they_are_coroutines_to_everybody(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        for operation in (receive(), send({"type": "http.response.start", "status": 200})):
            assert isinstance(operation, collections.abc.Coroutine)
            assert isinstance(operation, collections.abc.Awaitable)
            assert asyncio.iscoroutine(operation)
            assert inspect.isawaitable(operation)
            operation.close()

    run(serve, check)


def test_the_callables_look_like_coroutine_functions(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        assert (receive.__name__, send.__name__) == ("receive", "send")
        assert receive.__qualname__.endswith("receive")
        assert send.__qualname__.endswith("send")
        assert callable(receive)
        assert callable(send)
        if sys.version_info >= (3, 12):
            assert inspect.iscoroutinefunction(receive)
            assert inspect.iscoroutinefunction(send)
        if sys.version_info < (3, 14):
            assert asyncio.iscoroutinefunction(receive)
            assert asyncio.iscoroutinefunction(send)

    run(serve, check)


def test_nothing_happens_before_it_is_awaited(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> Any:
        late = send({"type": "nonsense"})
        with pytest.raises(RuntimeError, match="nonsense"):
            await late
        waiting = receive()
        waiting.close()
        return await receive()

    assert run(serve, check, body=b"x")["body"] == b"x"


def test_in_a_task(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> Any:
        return await asyncio.create_task(receive())

    assert run(serve, check, body=b"x")["body"] == b"x"


def test_in_gather_and_wait_for(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> Any:
        (message,) = await asyncio.gather(receive())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(receive(), 0.01)
        return message

    assert run(serve, check, body=b"x")["body"] == b"x"


def test_in_anyio(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> Any:
        await receive()
        with anyio.move_on_after(0.01) as scope_:
            await receive()
        assert scope_.cancelled_caught
        messages = []

        async def read() -> None:
            messages.append(await receive())

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        return messages

    assert run(serve, check) == []


def test_by_hand(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> Any:
        with pytest.raises(StopIteration) as stop:
            receive().send(None)
        return stop.value.value

    assert run(serve, check, body=b"x") == {
        "type": "http.request",
        "body": b"x",
        "more_body": False,
    }


def test_awaited_twice(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        operation = receive()
        await operation
        with pytest.raises(RuntimeError, match="already awaited"):
            await operation
        with pytest.raises(RuntimeError, match="already awaited"):
            operation.send(None)

    run(serve, check)


def test_throw(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        fresh = receive()
        with pytest.raises(ZeroDivisionError):
            fresh.throw(ZeroDivisionError)
        with pytest.raises(RuntimeError, match="already awaited"):
            await fresh
        error = ValueError("given")
        with pytest.raises(ValueError, match="given") as caught:
            receive().throw(error)
        assert caught.value is error
        with pytest.raises(ValueError, match="made"):
            receive().throw(ValueError, "made")
        unused = receive()
        with pytest.raises(TypeError):
            unused.throw(5)
        await receive()
        waiting = receive()
        assert asyncio.isfuture(waiting.send(None))
        with pytest.raises(ZeroDivisionError):
            waiting.throw(ZeroDivisionError())

    run(serve, check)


@pytest.mark.filterwarnings("ignore:the .type, exc, tb. signature of throw:DeprecationWarning")
@pytest.mark.parametrize(
    "arguments",
    [
        (ValueError, None, 5),
        (ValueError, "made", "no traceback"),
        (ValueError("given"), None, 5),
        (ValueError("given"), "made"),
        (ValueError("given"), None, None),
        (ValueError, ValueError("given"), None),
    ],
    ids=repr,
)
def test_throw_refuses_what_a_coroutine_refuses(serve: Serve, arguments: tuple[Any, ...]) -> None:
    async def coroutine() -> None: ...

    async def check(scope: Any, receive: Any, send: Any) -> None:
        said = []
        for target in (coroutine(), receive()):
            with pytest.raises((TypeError, ValueError)) as caught:
                target.throw(*arguments)
            said.append((type(caught.value), str(caught.value)))
            target.close()
        assert said[0] == said[1]

    run(serve, check)


def test_first_value_must_be_none(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        operation = receive()
        with pytest.raises(TypeError, match="just-started"):
            operation.send(1)
        await operation

    run(serve, check)


def test_never_awaited(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        with pytest.warns(RuntimeWarning, match=r"'Exchange\.send' was never awaited"):
            send({})
            gc.collect()
        with pytest.warns(RuntimeWarning, match=r"'Exchange\.receive' was never awaited"):
            receive()
            gc.collect()

    run(serve, check)


def test_wrong_arguments(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        for call in (
            lambda: receive(1),
            lambda: receive(a=1),
            lambda: send(),
            lambda: send({}, {}),
            lambda: send({}, message={}),
            lambda: send(massage={}),
        ):
            with pytest.raises(TypeError):
                call()

    run(serve, check)


def test_types_cannot_be_made_by_hand() -> None:
    from fasterapi import _native

    for kind in (_native.Exchange, _native.Operation, _native.Receive, _native.Send):
        with pytest.raises(TypeError):
            kind()


def test_kept_beyond_the_request(serve: Serve) -> None:
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append((receive, send))
        await respond(send)

    async def use(receive: Any, send: Any) -> None:
        assert await receive() == {"type": "http.disconnect"}
        with pytest.raises(RuntimeError, match="after response already completed"):
            await send({"type": "http.response.body"})

    server = serve(app)
    with server.connect() as client:
        client.ask()
        client.ask()
    server.settle()
    for receive, send in kept:
        asyncio.run(use(receive, send))
    server.__exit__(None, None, None)
    for receive, send in kept:
        asyncio.run(use(receive, send))


def test_from_another_thread(serve: Serve) -> None:
    caught: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        def other() -> None:
            for operation in (receive(), send({"type": "http.response.body"})):
                try:
                    operation.send(None)
                except BaseException as exc:
                    caught.append(exc)

        thread = threading.Thread(target=other)
        thread.start()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        await respond(send)

    server = serve(app)
    with server.connect() as client:
        assert client.ask().status == 200
    assert [type(exc) for exc in caught] == [RuntimeError, RuntimeError]
    assert "another thread" in str(caught[0])


def test_the_task_of_a_request(serve: Serve) -> None:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0)
        assert asyncio.current_task() is task
        assert task in asyncio.all_tasks()
        exchange: Any = task.get_coro()
        assert "run_asgi" in repr(task)
        assert asyncio.iscoroutine(exchange)
        assert exchange.cr_running
        assert exchange.scope is scope
        with pytest.raises(ValueError, match="already executing"):
            exchange.send(None)
        assert not task.done()
        stack = await asyncio.create_task(frames(task))
        assert "check" in stack

    async def frames(task: asyncio.Task[Any]) -> list[str]:
        await asyncio.sleep(0)
        names = []
        coroutine: Any = task.get_coro()
        while coroutine is not None and hasattr(coroutine, "cr_await"):
            if coroutine.cr_frame is not None:
                names.append(coroutine.cr_frame.f_code.co_name)
            coroutine = coroutine.cr_await
        assert task.get_stack()
        return names

    run(serve, check)
