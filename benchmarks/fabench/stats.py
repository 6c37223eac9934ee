"""Medians over the rounds."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from fabench.model import Sample, Summary


def summarise(samples: Iterable[Sample]) -> list[Summary]:
    """One summary per scenario and contender, in the order of first appearance."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.scenario, sample.contender), []).append(sample)
    return [_summary(key, group) for key, group in groups.items()]


def _summary(key: tuple[str, str], group: list[Sample]) -> Summary:
    good = [sample for sample in group if sample.error is None]
    values: dict[str, list[float]] = {}
    for sample in good:
        for name, value in sample.metrics.items():
            values.setdefault(name, []).append(value)
    return Summary(
        scenario=key[0],
        contender=key[1],
        rounds=len(good),
        metrics={name: median(found) for name, found in values.items()},
        spread={name: (min(found), max(found)) for name, found in values.items()},
        errors=_unique(sample.error for sample in group if sample.error is not None),
        notes=_unique(note for sample in group for note in sample.notes),
    )


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
