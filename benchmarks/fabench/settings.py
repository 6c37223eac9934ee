"""How long and how often: the profiles of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run spends its time on."""

    profile: str
    rounds: int  # of every load, interleaved
    seconds: int  # per load
    warm_seconds: int  # per started server
    special_rounds: int  # of idle, upload, sendfile, resets
    idle_connections: int
    upload_mib: int
    file_mib: int
    import_pairs: int
    loads: frozenset[str] = frozenset()  # keys; empty for all


_QUICK_LOADS = frozenset(
    {
        "raw-c1", "raw-c64", "raw-c512", "raw-p16",
        "fastapi-plain", "fastapi-query", "fastapi-echo", "fastapi-sync",
    }
)  # fmt: skip

QUICK = Settings("quick", 3, 1, 1, 1, 10_000, 100, 256, 7, _QUICK_LOADS)
STANDARD = Settings("standard", 5, 2, 1, 1, 10_000, 100, 1024, 15)
FULL = Settings("full", 10, 3, 2, 3, 10_000, 100, 1024, 25)
