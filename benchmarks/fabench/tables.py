"""The tables of a report, before they become text or HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fabench.contenders import CONTENDERS, by_name
from fabench.model import Role, Summary, Workload
from fabench.results import Run
from fabench.workloads import SPECIAL_SCENARIOS, WORKLOADS


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure as text. ``best`` marks the best peer's."""

    text: str
    best: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One contender."""

    contender: str
    role: Role
    cells: tuple[Cell, ...]
    remarks: tuple[str, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One scenario. ``chart`` names the metric that is drawn, lower is better."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    chart: tuple[tuple[str, float, Role], ...] = ()
    chart_title: str = ""


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    metric: str
    show: Callable[[float], str]
    lower_is_better: bool | None = None  # None: nobody is best


def _count(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _us(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.1f}"


def _latency(us: float) -> str:
    return f"{us:.0f} us" if us < 1000 else f"{us / 1000:.2f} ms"


def _mib(value: float) -> str:
    return f"{value / 1048576:.1f} MiB"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _plain(value: float) -> str:
    return f"{value:.2f}"


_LOAD = (
    _Column("req/s", "rps", _count, False),
    _Column("CPU us/req", "cpu_us", _us, True),
    _Column("user", "user_us", _us),
    _Column("sys", "sys_us", _us),
    _Column("p50", "p50_us", _latency, True),
    _Column("p99", "p99_us", _latency, True),
    _Column("RSS", "rss_bytes", _mib, True),
    _Column("others", "others", _share),
)

_SPECIAL = {
    "idle": (
        _Column("held", "idle_connections", _count),
        _Column("bytes each", "bytes_per_connection", _count, True),
        _Column("req/s without", "rps_without", _count),
        _Column("with", "rps_with", _count, False),
        _Column("CPU us without", "cpu_us_without", _us),
        _Column("with", "cpu_us_with", _us, True),
        _Column("p99 without", "p99_us_without", _latency),
        _Column("with", "p99_us_with", _latency, True),
    ),
    "resets": (
        _Column("resets", "resets", _count),
        _Column("answers after, ms", "answer_ms", _plain, True),
    ),
    "upload": (
        _Column("seconds", "seconds", _plain, True),
        _Column("CPU s", "cpu_s", _plain, True),
        _Column("memory grows", "growth_bytes", _mib, True),
    ),
    "sendfile": (
        _Column("GiB/s", "gib_per_s", _plain, False),
        _Column("CPU s/GiB", "cpu_s_per_gib", _plain, True),
        _Column("memory grows", "growth_bytes", _mib, True),
    ),
    "router": (
        _Column("routes", "routes", _count),
        _Column("ns a match", "ns", _plain),
        _Column("allocations", "allocations", _count),
    ),
    "import": (
        _Column("ms", "import_ms", _plain),
        _Column("beyond fastapi, ms", "beyond_ms", _plain),
    ),
}

_SPECIAL_CHART = {
    "idle": ("bytes_per_connection", "bytes of server memory per idle connection"),
    "upload": ("growth_bytes", "bytes of memory growth"),
    "sendfile": ("cpu_s_per_gib", "CPU seconds per GiB"),
}


TRUSTED_SHARE = 0.05  # of the server's core in other hands, and the figures still stand
_ORDER = {entry.name: index for index, entry in enumerate(CONTENDERS)}


def role_of(contender: str) -> Role:
    """The role of a contender by name. Scenarios that measure something of ours, and no
    server, have names of their own."""
    known = by_name(contender)
    if known is not None:
        return known.role
    return Role.LIMIT if contender == "fastapi" else Role.OURS


def build_tables(run: Run) -> list[Table]:
    """A table for every scenario that was run."""
    tables = []
    ordered = sorted(run.summaries, key=lambda s: _ORDER.get(s.contender, len(_ORDER)))
    for work in WORKLOADS:
        summaries = [s for s in ordered if s.scenario == work.key]
        if summaries:
            tables.append(_load_table(work, summaries))
    for key, title in SPECIAL_SCENARIOS.items():
        summaries = [s for s in ordered if s.scenario == key]
        if summaries:
            tables.append(_special_table(key, title, summaries))
    return tables


def disturbance(run: Run) -> float:
    """The greatest share of the server's core that other programs took in a load, by the
    medians; above some hundredths the figures are not to be trusted."""
    return max((s.metrics.get("others", 0.0) for s in run.summaries), default=0.0)


def best_peer(summaries: Sequence[Summary], metric: str, lower: bool) -> Summary | None:
    """The peer that leads in a metric."""
    peers = [s for s in summaries if role_of(s.contender) is Role.PEER and metric in s.metrics]
    if not peers:
        return None
    return (min if lower else max)(peers, key=lambda s: s.metrics[metric])


def _load_table(work: Workload, summaries: Sequence[Summary]) -> Table:
    fastest = best_peer(summaries, "rps", False)
    leanest = best_peer(summaries, "cpu_us", True)
    limit = next((s for s in summaries if role_of(s.contender) is Role.LIMIT), None)
    extra = ["req/s vs peer", "CPU vs peer"] + (["over limit"] if limit else [])
    rows = []
    for summary in summaries:
        more = [_ratio(summary, fastest, "rps"), _ratio(summary, leanest, "cpu_us")]
        if limit:
            more.append(_over(summary, limit))
        rows.append(_row(summary, _LOAD, summaries, more))
    chart = tuple(
        (s.contender, s.metrics["cpu_us"], role_of(s.contender)) for s in summaries if s.metrics
    )
    columns = (*(column.title for column in _LOAD), *extra)
    title = "server CPU, microseconds per request"
    return Table(work.key, work.title, columns, tuple(rows), chart, title)


def _special_table(key: str, title: str, summaries: Sequence[Summary]) -> Table:
    columns = _SPECIAL[key]
    rows = tuple(_row(summary, columns, summaries, []) for summary in summaries)
    metric, chart_title = _SPECIAL_CHART.get(key, ("", ""))
    chart = tuple(
        (s.contender, s.metrics[metric], role_of(s.contender))
        for s in summaries
        if metric in s.metrics
    )
    return Table(key, title, tuple(column.title for column in columns), rows, chart, chart_title)


def _row(
    summary: Summary,
    columns: Sequence[_Column],
    summaries: Sequence[Summary],
    more: list[Cell],
) -> Row:
    cells = [_cell(summary, column, summaries) for column in columns] + more
    remarks = [*(f"FAILED: {error}" for error in summary.errors), *summary.notes]
    return Row(
        summary.contender,
        role_of(summary.contender),
        tuple(cells),
        tuple(remarks),
        failed=bool(summary.errors),
    )


def _cell(summary: Summary, column: _Column, summaries: Sequence[Summary]) -> Cell:
    value = summary.metrics.get(column.metric)
    if value is None:
        return Cell("-")
    best = None
    if column.lower_is_better is not None:
        best = best_peer(summaries, column.metric, column.lower_is_better)
    return Cell(column.show(value), best is summary)


def _ratio(summary: Summary, peer: Summary | None, metric: str) -> Cell:
    value = summary.metrics.get(metric)
    if peer is None or value is None:
        return Cell("-")
    return Cell(f"{value / peer.metrics[metric]:.2f}x", peer is summary)


def _over(summary: Summary, limit: Summary) -> Cell:
    value, floor = summary.metrics.get("cpu_us"), limit.metrics.get("cpu_us")
    return Cell("-" if value is None or floor is None else f"{value - floor:+.2f} us")
