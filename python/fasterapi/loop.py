"""The event loop: asyncio's, waiting and running native work in C.

``asyncio.Runner(loop_factory=fasterapi.Loop)`` or ``asyncio.run(main(),
loop_factory=fasterapi.Loop)`` (3.12 and later) is all that it takes; no policy is installed.
"""

from __future__ import annotations

import asyncio
import selectors

from fasterapi import _native

__all__ = ["Loop", "new_event_loop"]


class Loop(_native.LoopCore, asyncio.SelectorEventLoop):
    """``asyncio.SelectorEventLoop`` on the native reactor.

    Everything asyncio offers works as on its parent. One wait in the kernel serves asyncio's
    transports, timers and signals and the native servers that live on ``reactor``; a turn takes
    the events, then runs native callbacks, then asyncio's handles.

    Given another ``selector`` it waits with that, and ``reactor`` is None. Used in a
    process forked from the one that made it, it raises RuntimeError: the kernel's objects
    belong to the parent.
    """

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        super().__init__(_native.Selector() if selector is None else selector)


def new_event_loop() -> Loop:
    """A new ``Loop``, as a plain function for ``loop_factory`` arguments."""
    return Loop()
