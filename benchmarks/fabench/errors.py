"""What can go wrong, told apart by who must act."""

from __future__ import annotations


class BenchError(Exception):
    """Anything the harness reports in one sentence instead of a traceback."""


class MissingTool(BenchError):
    """Something must be installed or built first; the message says what and how."""


class ContenderFailed(BenchError):
    """A server did not start, answered wrongly, hung or died: a result, not an abort."""


class WrongAnswer(ContenderFailed):
    """A server answers, but not what the application says; it still runs."""
