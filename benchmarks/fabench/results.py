"""A whole run as data: what the JSON file holds, and what the reports are made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fabench.model import Sample, Summary
from fabench.settings import Settings
from fabench.stats import summarise

SCHEMA = 1


@dataclass(frozen=True)
class Run:
    """Samples and what is needed to judge them. ``absent`` says why a contender is not
    there, by name."""

    started: str  # ISO 8601, UTC
    settings: Settings
    machine: dict[str, str]
    versions: dict[str, str]
    commit: str
    samples: Sequence[Sample]
    absent: dict[str, str]

    @cached_property
    def summaries(self) -> list[Summary]:
        """The medians."""
        return summarise(self.samples)

    def find(self, scenario: str, contender: str) -> Summary | None:
        """The summary of a contender in a scenario."""
        for summary in self.summaries:
            if (summary.scenario, summary.contender) == (scenario, contender):
                return summary
        return None

    def metric(self, scenario: str, contender: str, name: str) -> float | None:
        """A median, or None when there is none."""
        summary = self.find(scenario, contender)
        return None if summary is None else summary.metrics.get(name)


def to_json(run: Run) -> str:
    """The run as JSON, with a schema number."""
    settings = asdict(run.settings)
    settings["loads"] = sorted(run.settings.loads)
    whole = {
        "schema": SCHEMA,
        "started": run.started,
        "settings": settings,
        "machine": run.machine,
        "versions": run.versions,
        "commit": run.commit,
        "absent": run.absent,
        "summaries": [asdict(summary) for summary in run.summaries],
        "samples": [asdict(sample) for sample in run.samples],
    }
    return json.dumps(whole, indent=1)


def from_json(text: str) -> Run:
    """Reads what :func:`to_json` wrote. Raises ValueError for another schema."""
    whole: dict[str, Any] = json.loads(text)
    if whole.get("schema") != SCHEMA:
        raise ValueError(f"schema {whole.get('schema')!r} instead of {SCHEMA}")
    settings = whole["settings"]
    settings["loads"] = frozenset(settings["loads"])
    samples = [Sample(**{**entry, "notes": tuple(entry["notes"])}) for entry in whole["samples"]]
    return Run(
        started=whole["started"],
        settings=Settings(**settings),
        machine=whole["machine"],
        versions=whole["versions"],
        commit=whole["commit"],
        samples=samples,
        absent=whole["absent"],
    )


def read_run(path: Path) -> Run:
    """Reads a result file."""
    return from_json(path.read_text())
