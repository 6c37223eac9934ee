"""CPython's tests once more, of what the plain run does not reach; loaded by run_suite.py.

Its tests of tasks and futures, whose loop is a TestLoop with a clock of its own, on our Task
and on a TestLoop with our turn; those of eager tasks with tasks that are driven from C; those
of the event loop on a Loop that was given a selector.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import unittest
from collections.abc import Coroutine
from typing import Any

from test.test_asyncio import test_events, test_futures, test_runners, test_tasks
from test.test_asyncio import utils as test_utils

from fasterapi import _native
from fasterapi.loop import Loop


def tearDownModule() -> None:
    asyncio.set_event_loop_policy(None)


class CoreTestLoop(_native.LoopCore, test_utils.TestLoop):
    """CPython's loop for unit tests, with the turn and the queueing of ours."""

    time = test_utils.TestLoop.time  # the clock that its tests set

    def _run_once(self) -> None:
        # As TestLoop's, which would go on to asyncio's turn.
        _native.LoopCore._run_once(self)  # type: ignore[attr-defined]
        for when in self._timers:
            self.advance_time(self._gen.send(when))
        self._timers = []


class OnCoreLoop:
    """Mixed in before CPython's test classes: new_test_loop() makes a CoreTestLoop."""

    def new_test_loop(self, gen: Any = None) -> CoreTestLoop:
        loop = CoreTestLoop(gen)
        self.set_event_loop(loop)  # type: ignore[attr-defined]
        return loop


class TaskCFuture(
    OnCoreLoop, test_tasks.BaseTaskTests, test_tasks.SetMethodsTest, test_utils.TestCase
):
    Task = _native.Task
    Future = asyncio.futures._CFuture


class TaskPyFuture(OnCoreLoop, test_tasks.BaseTaskTests, test_utils.TestCase):
    Task = _native.Task
    Future = asyncio.futures._PyFuture


class StockTaskOnCoreLoop(OnCoreLoop, test_tasks.BaseTaskTests, test_utils.TestCase):
    Task = asyncio.tasks._CTask
    Future = asyncio.futures._CFuture


class FutureOnCoreLoop(OnCoreLoop, test_futures.CFutureTests):
    pass


class FutureCallbacksOnCoreLoop(OnCoreLoop, test_futures.CFutureDoneCallbackTests):
    pass


class FutureGatherOnCoreLoop(OnCoreLoop, test_tasks.FutureGatherTests):
    pass


class CoroutineGatherOnCoreLoop(OnCoreLoop, test_tasks.CoroutineGatherTests):
    pass


class RunOnLoop(test_runners.RunTests):
    """asyncio.run() where CPython's test has a BaseEventLoop that needs mocks to run at all."""

    def new_loop(self) -> asyncio.SelectorEventLoop:
        loop = asyncio.SelectorEventLoop()  # run_suite.SuiteLoop, by that name
        loop.shutdown_ag_run = False  # type: ignore[attr-defined]
        shutdown = loop.shutdown_asyncgens

        async def shutdown_asyncgens() -> None:
            loop.shutdown_ag_run = True  # type: ignore[attr-defined]
            await shutdown()

        loop.shutdown_asyncgens = shutdown_asyncgens  # type: ignore[method-assign]
        return loop


class RunnerOnLoop(test_runners.RunnerTests):
    new_loop = RunOnLoop.new_loop


class LoopWithSelector(
    test_events.UnixEventLoopTestsMixin, test_events.SubprocessTestsMixin, test_utils.TestCase
):
    """The tests of the event loop on a Loop that was given a selector of another kind."""

    def create_event_loop(self) -> Loop:
        loop = Loop(selectors.SelectSelector())
        assert loop.reactor is None
        return loop


class DrivingLoop(Loop):
    """Makes its tasks by driving them from C; their first step is taken at once."""

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        if not self.is_running():
            return super().create_task(coro, name=name, context=context)
        found: list[asyncio.Task[Any]] = []

        async def shown() -> Any:
            task = asyncio.current_task()
            assert task is not None
            if name is not None:
                task.set_name(name)
            found.append(task)
            return await coro

        def ended(result: Any, exc: BaseException | None) -> None:
            pass

        assert self.reactor is not None
        _native.drive(self.reactor, shown(), context or contextvars.copy_context(), ended)
        return found[0]


if hasattr(asyncio, "eager_task_factory"):
    from test.test_asyncio import test_eager_task_factory as eager

    class EagerTask(eager.EagerTaskFactoryLoopTests, test_utils.TestCase):
        Task = _native.Task

    class EagerTaskCount(eager.BaseEagerTaskFactoryTests, test_utils.TestCase):
        Task = _native.Task

    class DrivenTask(eager.EagerTaskFactoryLoopTests, test_utils.TestCase):
        """A driven task takes its first step as an eager one does."""

        Task = _native.Task

        def setUp(self) -> None:
            super().setUp()
            self.loop.close()
            self.loop = DrivingLoop()
            self.set_event_loop(self.loop)

        def test_eager_task_factory_set(self) -> None:
            """Says which factory is installed; here there is none."""

            async def inner() -> asyncio.Task[Any] | None:
                return asyncio.current_task()

            async def outer() -> None:
                task = asyncio.create_task(inner())
                self.assertIs(await task, task)
                self.assertIsInstance(task, _native.Task)

            self.run_coro(outer())


if __name__ == "__main__":
    unittest.main()
