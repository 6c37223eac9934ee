"""The native reactor inside an event loop that is not ours (uvloop, stock asyncio)."""

from __future__ import annotations

import asyncio
import weakref

from fasterapi import _native

__all__ = ["attach", "detach"]

_attached: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Attachment]


class _Attachment:
    """A loop's reactor and how many servers or clients use it."""

    __slots__ = ("reactor", "users")

    def __init__(self, reactor: _native.Reactor) -> None:
        self.reactor = reactor
        self.users = 0


_attached = weakref.WeakKeyDictionary()


def attach(loop: asyncio.AbstractEventLoop) -> _native.Reactor:
    """The reactor of ``loop``, made and registered if it has none.

    Runs on the loop's thread. Each call is undone by one of ``detach``; a ``fasterapi.Loop``
    has its reactor for life. A loop that is closed without ``detach`` takes its reactor along.
    """
    own = getattr(loop, "reactor", None)
    if isinstance(own, _native.Reactor):
        return own
    attachment = _attached.get(loop)
    if attachment is None or attachment.reactor.closed:
        reactor = _native.Reactor(loop)
        loop.add_reader(reactor.fileno(), reactor.turn)
        attachment = _attached[loop] = _Attachment(reactor)
    attachment.users += 1
    return attachment.reactor


def detach(loop: asyncio.AbstractEventLoop) -> None:
    """Undo one ``attach``; the last one closes the reactor, with whatever lives on it."""
    attachment = _attached.get(loop)
    if attachment is None:
        return
    attachment.users -= 1
    if attachment.users > 0:
        return
    del _attached[loop]
    if not loop.is_closed():
        loop.remove_reader(attachment.reactor.fileno())
    attachment.reactor.close()
