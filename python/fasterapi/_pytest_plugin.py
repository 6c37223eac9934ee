"""The pytest plugin of the package: the ``live_server`` fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fasterapi.testing import LiveServer

__all__ = ["live_server"]


@pytest.fixture
def live_server() -> Iterator[Callable[..., LiveServer]]:
    """A function that starts a ``fasterapi.testing.LiveServer`` for the length of the test.

    It takes what ``LiveServer`` takes: ``server = live_server(app)``.
    """
    # Imported here, so that a test run that never asks for a server does not pay for it.
    from fasterapi.testing import LiveServer

    with ExitStack() as stack:

        def start(app: Callable[..., Any], *args: Any, **options: Any) -> LiveServer:
            return stack.enter_context(LiveServer(app, *args, **options))

        yield start
