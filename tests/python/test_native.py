"""The extension itself: what it says about the build, and what only its own users can do wrong."""

from __future__ import annotations

import asyncio
import contextvars
import importlib.metadata
import inspect

import pytest

import fasterapi
from fasterapi import _native


def test_the_extension_is_the_distribution_that_is_installed() -> None:
    installed = importlib.metadata.version("fasterapi-native")
    assert _native.version() == installed
    assert fasterapi.__version__ == installed


def test_features_name_the_back_end_and_the_protocol() -> None:
    words = _native.features().split()
    assert words[:2] == ["epoll", "h1"]
    assert any(word.startswith("simd=") for word in words)


def test_a_coroutine_that_a_closed_loop_cannot_run_is_closed() -> None:
    async def coroutine() -> None: ...

    loop = fasterapi.Loop()
    reactor = loop.reactor
    loop.close()
    assert reactor is not None
    coro = coroutine()
    with pytest.raises(RuntimeError, match="closed"):
        _native.drive(reactor, coro, contextvars.copy_context(), print)
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED


def test_what_is_no_coroutine_is_left_alone() -> None:
    with asyncio.Runner(loop_factory=fasterapi.Loop) as runner:
        reactor = runner.get_loop().reactor  # type: ignore[attr-defined]
        with open(__file__) as file:
            with pytest.raises(TypeError, match="a coroutine was expected"):
                _native.drive(reactor, file, contextvars.copy_context(), print)  # type: ignore[arg-type]
            assert not file.closed
