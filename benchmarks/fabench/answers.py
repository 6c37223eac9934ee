"""Whether a contender's answers are right, byte by byte, before anything is timed."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fabench import wire
from fabench.errors import BenchError, WrongAnswer
from fabench.model import Family, Request
from fabench.wire import Answer
from fabench.workloads import APPLICATIONS, requests_to_check

# Fields that belong to the server and not to the application.
_OF_THE_SERVER = {"date", "server", "connection", "keep-alive", "uwebsockets"}


class Expected:
    """What each application answers without a server, asked for once."""

    def __init__(self, python: Path, apps: Path) -> None:
        self._python = python
        self._apps = apps
        self._known: dict[Family, list[tuple[Request, Answer]]] = {}

    def of(self, family: Family) -> list[tuple[Request, Answer]]:
        """Requests and right answers of a family. Raises BenchError when the application
        itself fails."""
        if family not in self._known:
            requests = requests_to_check(family)
            self._known[family] = list(zip(requests, self._ask(family, requests), strict=True))
        return self._known[family]

    def of_request(self, family: Family, request: Request) -> list[tuple[Request, Answer]]:
        """The same for one request of the family."""
        return [pair for pair in self.of(family) if pair[0] == request]

    def _ask(self, family: Family, requests: Sequence[Request]) -> list[Answer]:
        if not requests:
            return []
        asked = [{"method": r.method, "path": r.path, "body": r.body} for r in requests]
        done = subprocess.run(
            [str(self._python), "expected.py", APPLICATIONS[family]],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            cwd=self._apps,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"{APPLICATIONS[family]} does not run:\n{done.stderr.strip()}")
        return [
            Answer(
                entry["status"],
                tuple((name.lower(), value) for name, value in entry["headers"]),
                base64.b64decode(entry["body"]),
            )
            for entry in json.loads(done.stdout)
        ]


def differences(expected: Answer, got: Answer) -> list[str]:
    """How two answers differ, in words; empty when they are the same.

    Status, body and every field of the application must be equal, a server may add the
    fields that are its own, and nothing else.
    """
    found = []
    if got.status != expected.status:
        found.append(f"status {got.status} instead of {expected.status}")
    if got.body != expected.body:
        found.append(f"body {got.body[:60]!r} instead of {expected.body[:60]!r}")
    for name in sorted({key for key, _ in expected.headers}):
        wanted = [value for key, value in expected.headers if key == name]
        values = [value for key, value in got.headers if key == name]
        if values != wanted:
            found.append(f"{name}: {', '.join(values) or 'missing'} instead of {wanted[0]}")
    known = {name for name, _ in expected.headers} | _OF_THE_SERVER
    found += [f"{name}: {value} added" for name, value in got.headers if name not in known]
    return found


def check(port: int, expected: Sequence[tuple[Request, Answer]]) -> None:
    """Asks everything twice, each on one connection. Raises WrongAnswer at a difference,
    ContenderFailed when there is no answer."""
    for request, wanted in expected:
        with wire.Connection(port) as connection:
            for _ in range(2):
                found = differences(wanted, connection.ask(request))
                if found:
                    raise WrongAnswer(
                        f"wrong answer to {request.method} {request.path}: {'; '.join(found)}"
                    )
