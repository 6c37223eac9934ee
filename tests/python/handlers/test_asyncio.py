"""What asyncio itself offers to a handler."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import fasterapi
from fasterapi.loop import Loop
from handlers.asking import Ask


def test_a_current_task_that_belongs_to_the_loop(ask: Ask) -> None:
    async def handler() -> str:
        task = asyncio.current_task()
        assert isinstance(task, asyncio.Task)
        assert task.get_loop() is asyncio.get_running_loop()
        assert not task.done()
        return task.get_name()

    assert ask(handler).startswith("Task-")


def test_the_task_is_listed_while_it_is_suspended(ask: Ask) -> None:
    async def handler() -> bool:
        task = asyncio.current_task()
        seen = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: seen.set_result(asyncio.all_tasks()))
        return task in await seen

    assert ask(handler) == "True"


def test_timeout_ends_a_wait(ask: Ask) -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            task = asyncio.current_task()
            assert task is not None
            return f"timed out, {task.cancelling()} cancellations left"
        return "slept"

    assert ask(handler) == "timed out, 0 cancellations left"


def test_timeout_that_does_not_expire(ask: Ask) -> None:
    async def handler() -> str:
        async with asyncio.timeout(30):
            return "in time"

    assert ask(handler) == "in time"


def test_task_group_runs_children(ask: Ask) -> None:
    async def child(number: int) -> int:
        await asyncio.sleep(0)
        return number * number

    async def handler() -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(number)) for number in range(5)]
        return sum(task.result() for task in tasks)

    assert ask(handler) == "30"


def test_task_group_cancels_the_handler_when_a_child_fails(ask: Ask) -> None:
    async def child() -> None:
        raise LookupError("lost")

    async def handler() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                await asyncio.sleep(30)
        except ExceptionGroup as caught:
            return str(caught.exceptions[0])
        return "nothing"

    assert ask(handler) == "lost"


def test_cancelling_itself_before_the_first_suspension(ask: Ask) -> None:
    async def handler() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("enough")
        assert task.cancelling() == 1
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError as exc:
            assert task.uncancel() == 0
            return str(exc)
        return "not cancelled"

    assert ask(handler) == "enough"


def test_wait_for_gather_and_shield(ask: Ask) -> None:
    async def value(result: int) -> int:
        await asyncio.sleep(0)
        return result

    async def handler() -> list[int]:
        first = await asyncio.wait_for(value(1), 30)
        rest = await asyncio.gather(value(2), asyncio.shield(value(3)))
        return [first, *rest]

    assert ask(handler) == "[1, 2, 3]"


def test_done_callbacks_of_the_handlers_task(ask: Ask) -> None:
    ended: list[bool] = []

    async def handler() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda task: ended.append(task.done()))
        return "ok"

    assert ask(handler) == "ok"
    assert ended == [True]


def test_the_name_of_the_task_reaches_log_records(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("answering")
        logging.getLogger("shop").warning("hello")
        return task.get_name()

    assert ask(handler) == "answering"
    if sys.version_info >= (3, 12):
        (record,) = (r for r in caplog.records if r.name == "shop")
        assert record.taskName == "answering"


def test_the_stack_shows_the_handler(ask: Ask) -> None:
    async def handler() -> bool:
        task = asyncio.current_task()
        assert task is not None
        names = [frame.f_code.co_name for frame in task.get_stack()]
        return "app" in names

    assert ask(handler) == "True"


class Interrupted(Loop):
    """A loop that calls a function, once, from the middle of ``Task.__init__``."""

    interrupt: Callable[[], None] | None = None

    def get_debug(self) -> bool:
        interrupt, self.interrupt = self.interrupt, None
        if interrupt is not None:
            interrupt()
        return super().get_debug()


def running() -> Interrupted:
    """The loop of the handler."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Interrupted)
    return loop


def test_call_soon_while_another_thread_looks_at_the_task(ask: Ask) -> None:
    async def handler() -> str:
        loop, looking, queued = running(), threading.Event(), threading.Event()
        called = [loop.create_future() for _ in range(2)]

        def interrupt() -> None:
            looking.set()
            assert queued.wait(10)

        def look() -> None:
            for task in asyncio.all_tasks(loop):
                repr(task)
            looking.set()  # a task that was real before interrupts nothing

        loop.interrupt = interrupt
        watchdog = threading.Thread(target=look)
        watchdog.start()
        assert looking.wait(10)
        handles = [
            loop.call_soon(lambda: called[0].set_result(None)),
            loop.call_soon(lambda: called[1].set_result(None), context=contextvars.Context()),
        ]
        queued.set()
        watchdog.join()
        await asyncio.wait(called)
        return " ".join(type(handle).__name__ for handle in handles)

    assert ask(handler, loop_factory=Interrupted) == "Handle Handle"


def test_call_soon_of_others_while_a_task_becomes_real(ask: Ask) -> None:
    async def handler() -> str:
        loop = running()
        called: list[str] = []
        handles: list[asyncio.Handle] = []

        def queue() -> None:
            # Not allowed off the loop's thread, but it is no step of the task either.
            context = contextvars.Context()
            handles.append(loop.call_soon(lambda: called.append("thread"), context=context))

        def interrupt() -> None:
            handles.append(loop.call_soon(lambda: called.append("loop")))
            thread = threading.Thread(target=queue)
            thread.start()
            thread.join()

        loop.interrupt = interrupt
        repr(asyncio.current_task())
        loop.get_debug()  # for a task that was real before
        assert called == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return " ".join([*called, *(type(handle).__name__ for handle in handles)])

    assert ask(handler, loop_factory=Interrupted) == "loop thread Handle Handle"


def test_a_task_factory_of_the_user_is_honoured(ask: Ask) -> None:
    class OwnTask(asyncio.Task[Any]):
        pass

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        return OwnTask(coro, loop=loop, **options)

    async def handler() -> str:
        return type(asyncio.current_task()).__name__

    def new_loop() -> asyncio.AbstractEventLoop:
        import fasterapi

        loop = fasterapi.Loop()
        loop.set_task_factory(factory)
        return loop

    assert ask(handler, loop_factory=new_loop) == "OwnTask"


def test_debug_mode_reports_a_slow_handler(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    async def handler() -> str:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.0
        return "slow"

    def new_loop() -> asyncio.AbstractEventLoop:
        import fasterapi

        loop = fasterapi.Loop()
        loop.set_debug(True)
        return loop

    assert ask(handler, loop_factory=new_loop) == "slow"
    assert any("Executing" in r.getMessage() and "took" in r.getMessage() for r in caplog.records)


def test_a_debugger_sees_the_handler(ask: Ask) -> None:
    lines: list[str] = []

    async def handler() -> str:
        import threading

        def trace(frame: Any, event: str, argument: Any) -> Any:
            lines.append(frame.f_code.co_name)
            return trace

        before = sys.gettrace()
        threading.settrace(trace)
        sys.settrace(trace)
        try:
            await traced_step()
        finally:
            sys.settrace(before)
            threading.settrace(None)  # type: ignore[arg-type]
        return "traced"

    async def traced_step() -> None:
        await asyncio.sleep(0)

    assert ask(handler) == "traced"
    assert "traced_step" in lines


def test_a_trace_function_that_is_there_before_the_request(ask: Ask, suspended: bool) -> None:
    """A debugger's function, set once, sees each request from the handler's own call on."""
    events: list[tuple[str, str]] = []

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_name in ("app", "handler") and frame.f_code.co_filename in files:
            events.append((frame.f_code.co_name, event))
        return trace

    async def handler() -> str:
        return "traced"

    files = {handler.__code__.co_filename, ask.__code__.co_filename}

    def new_loop() -> asyncio.AbstractEventLoop:
        # Runs on the server's thread before anything is served.
        sys.settrace(trace)
        return fasterapi.Loop()

    assert ask(handler, loop_factory=new_loop) == "traced"
    assert ("handler", "call") in events
    assert ("handler", "return") in events
    calls = [name for name, event in events if event == "call"]
    # The application's first step is its first call; behind a suspension it has one more.
    assert calls == (["app", "app", "handler"] if suspended else ["app", "handler"])


def test_subprocess_and_streams(ask: Ask) -> None:
    async def handler() -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('from below')", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out.decode().strip()

    assert ask(handler) == "from below"
