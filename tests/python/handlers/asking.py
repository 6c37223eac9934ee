"""The type of the ``ask`` fixture and of what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Handler = Callable[[], Awaitable[object]]
Ask = Callable[..., str]
Application = Callable[[Any, Any, Any], Awaitable[None]]
