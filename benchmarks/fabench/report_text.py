"""The report for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fabench.results import Run
from fabench.tables import TRUSTED_SHARE, Row, Table, build_tables, disturbance
from fabench.targets import Verdict, failures, judge

_MARKS = {True: "reached", False: "MISSED"}


def render_text(run: Run) -> str:
    """The whole report; ``*`` marks the best peer of a column."""
    parts = [_head(run)]
    parts += [_table(table) for table in build_tables(run)]
    parts.append(_verdicts(judge(run), disturbance(run)))
    if run.absent:
        parts.append("Not measured\n" + _lines(f"{n}: {why}" for n, why in run.absent.items()))
    wrong = failures(run)
    if wrong:
        parts.append("Failures\n" + _lines(wrong))
    return "\n\n".join(parts) + "\n"


def _head(run: Run) -> str:
    machine = run.machine
    return (
        f"FasterAPI benchmarks, {run.settings.profile}: medians of {run.settings.rounds} rounds "
        f"of {run.settings.seconds} s; * is the best peer\n"
        f"others: what other programs took of the server's core, at most "
        f"{100 * disturbance(run):.0f} %\n"
        f"{run.started}  commit {run.commit}  Python {run.versions.get('python', '?')}\n"
        f"{machine.get('cpu', '?')}, {machine.get('cpus', '?')} CPUs, "
        f"Linux {machine.get('kernel', '?')}, load at start {machine.get('load', '?')}"
    )


def _table(table: Table) -> str:
    width = max(len(row.contender) for row in table.rows)
    widths = [
        max(len(title), *(len(_shown(row, index)) for row in table.rows))
        for index, title in enumerate(table.columns)
    ]
    titles = "  ".join(title.rjust(size) for title, size in zip(table.columns, widths, strict=True))
    lines = [table.title, f"  {'':{width}}  {titles}"]
    for row in table.rows:
        cells = "  ".join(_shown(row, i).rjust(size) for i, size in enumerate(widths))
        lines.append(f"  {row.contender:{width}}  {cells}")
        lines += [f"  {'':{width}}    {remark}" for remark in row.remarks]
    return "\n".join(lines)


def _shown(row: Row, index: int) -> str:
    cell = row.cells[index]
    return f"*{cell.text}" if cell.best else cell.text


def _verdicts(every: Sequence[Verdict], disturbed: float) -> str:
    head = "Numbers to reach"
    if disturbed > TRUSTED_SHARE:
        head += f" (NOT TO BE TRUSTED: other programs took {100 * disturbed:.0f} % of the core)"
    verdicts = [verdict for verdict in every if verdict.reached is not None]
    missing = len(every) - len(verdicts)
    tail = f"  {missing} of {len(every)} targets not measured in this run" if missing else ""
    if not verdicts:
        return f"{head}\n{tail}"
    what = max(len(verdict.what) for verdict in verdicts)
    bar = max(len(verdict.bar) for verdict in verdicts)
    lines = [
        f"  {_MARKS[bool(v.reached)]:8} {v.what:{what}}  {v.bar:{bar}}  {v.measured}"
        for v in verdicts
    ]
    return "\n".join([head, *lines, *([tail] if tail else [])])


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(f"  {text}" for text in texts)
