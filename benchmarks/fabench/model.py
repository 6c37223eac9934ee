"""The data that passes between the parts: what is measured, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a contender is in the comparison."""

    LIMIT = "limit"  # the least the machine needs
    OURS = "ours"
    PEER = "peer"


class Family(StrEnum):
    """What a contender serves; only contenders of one family are compared."""

    RAW = "raw"  # one constant JSON answer
    FASTAPI = "fastapi"
    UPLOAD = "upload"  # a large body, taken in slowly
    FILE = "file"  # a large file, handed out


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request. ``path`` includes the query; ``body`` is JSON text or empty."""

    path: str
    method: str = "GET"
    body: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """One load: a request sent over some connections, ``pipeline`` of them at a time."""

    key: str
    title: str
    family: Family
    request: Request
    connections: int
    pipeline: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement in one round. With ``error`` set the metrics are void.

    Metrics by name, with the unit at its end: ``rps``, ``cpu_us``, ``user_us``,
    ``sys_us``, ``p50_us``, ``p99_us``, ``rss_bytes`` for loads, others for the special
    scenarios.
    """

    scenario: str
    contender: str
    round: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """The rounds of one contender in one scenario: medians of those that succeeded."""

    scenario: str
    contender: str
    rounds: int
    metrics: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]]  # least and greatest by metric
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether not one round succeeded."""
        return not self.metrics
