"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from fabench.charts import bar_chart
from fabench.results import Run
from fabench.tables import TRUSTED_SHARE, Row, Table, build_tables, disturbance
from fabench.targets import Verdict, failures, judge

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1f23;--soft:#6a737d;--line:#d8dee4;--paper:#fff;
--ours:#0b7a4b;--peer:#8a94a3;--limit:#c27c0e;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#9aa4ae;--line:#33393f;
--paper:#15181b;--ours:#37b57c;--peer:#6d7783;--limit:#e0a13a;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:68rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.5rem 0 .3rem}
p,figcaption{color:var(--soft);margin:.2rem 0}figure{margin:.6rem 0;max-width:46rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child,.text td{text-align:left}.text td{white-space:normal}
th{color:var(--soft);font-weight:600}tr.ours td:first-child{color:var(--ours);font-weight:600}
tr.limit td:first-child{color:var(--limit)}.best{font-weight:700}.best::after{content:" \\2605"}
.remark{color:var(--bad);text-align:left;white-space:normal}
.yes{color:var(--ours);font-weight:600}.no{color:var(--bad);font-weight:600}
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .name{text-anchor:end}svg .ours{fill:var(--ours)}svg .peer{fill:var(--peer)}
svg .limit{fill:var(--limit)}
"""

_MARKS = {True: ("yes", "reached"), False: ("no", "missed"), None: ("", "not measured")}


def render_html(run: Run) -> str:
    """The whole page."""
    body = [
        "<h1>FasterAPI benchmarks</h1>",
        _facts(run),
        _verdicts(judge(run), disturbance(run)),
        *(_table(table) for table in build_tables(run)),
        _list("Failures", failures(run)),
        _list("Not measured", (f"{name}: {why}" for name, why in run.absent.items())),
        _versions(run),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>FasterAPI benchmarks</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _facts(run: Run) -> str:
    machine = run.machine
    settings = run.settings
    return (
        f"<p>{escape(run.started)}, commit {escape(run.commit)}, "
        f"Python {escape(run.versions.get('python', '?'))}, {escape(machine.get('cpu', '?'))}, "
        f"{escape(machine.get('cpus', '?'))} CPUs, Linux {escape(machine.get('kernel', '?'))}, "
        f"load at start {escape(machine.get('load', '?'))}.</p>"
        f"<p>Profile {escape(settings.profile)}: medians of {settings.rounds} interleaved rounds "
        f"of {settings.seconds} s, one worker on one core, wrk on another. Every answer was "
        "compared byte by byte first. &#9733; marks the best peer; ratios are against it. "
        f"Other programs took at most {100 * disturbance(run):.0f} % of the server's core. "
        "The load generator saturates before a C server does: compare CPU per request.</p>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in table.columns)
    rows = "".join(_row(row, len(table.columns)) for row in table.rows)
    chart = bar_chart(table.chart_title, table.chart)
    figure = f"<figure>{chart}<figcaption>{escape(table.chart_title)}</figcaption></figure>"
    return (
        f'<h2 id="{escape(table.key)}">{escape(table.title)}</h2>{figure if chart else ""}'
        f'<div class="scroll"><table><tr><th></th>{head}</tr>{rows}</table></div>'
    )


def _row(row: Row, columns: int) -> str:
    cells = "".join(
        f"<td{' class=best' * cell.best}>{escape(cell.text)}</td>" for cell in row.cells
    )
    remarks = "".join(
        f'<tr><td></td><td class="remark" colspan="{columns}">{escape(remark)}</td></tr>'
        for remark in row.remarks
    )
    return f'<tr class="{row.role.value}"><td>{escape(row.contender)}</td>{cells}</tr>{remarks}'


def _verdicts(verdicts: Iterable[Verdict], disturbed: float) -> str:
    warning = ""
    if disturbed > TRUSTED_SHARE:
        warning = (
            f'<p class="no">Not to be trusted: other programs took {100 * disturbed:.0f} % of '
            "the server's core.</p>"
        )
    rows = []
    for verdict in verdicts:
        style, word = _MARKS[verdict.reached]
        rows.append(
            f"<tr><td>{escape(verdict.what)}</td><td>{escape(verdict.bar)}</td>"
            f'<td>{escape(verdict.measured)}</td><td class="{style}">{word}</td></tr>'
        )
    head = "<tr><th>what</th><th>reach</th><th>measured</th><th></th></tr>"
    return (
        f'<h2 id="targets">Numbers to reach</h2>{warning}'
        f'<div class="scroll"><table class="text">{head}{"".join(rows)}</table></div>'
    )


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _versions(run: Run) -> str:
    names = ("uvicorn", "uvloop", "httptools", "granian", "fastpysgi", "socketify")
    ours = ("fasterapi-native", "fastapi", "starlette", "pydantic")
    shown = [f"{name} {run.versions[name]}" for name in (*ours, *names) if name in run.versions]
    return f"<h2>Versions</h2><p>{escape(', '.join(shown))}</p>"
