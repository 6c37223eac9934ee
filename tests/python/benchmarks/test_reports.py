"""Medians, targets, tables and the three forms of a report."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from fabench import results, stats, tables, targets
from fabench.charts import bar_chart
from fabench.model import Role, Sample
from fabench.report_html import render_html
from fabench.report_text import render_text
from fabench.router import parse_router
from fabench.settings import QUICK


def load(contender: str, number: int, cpu_us: float, rps: float, **more: float) -> Sample:
    metrics = {"cpu_us": cpu_us, "rps": rps, "p99_us": 900.0, "rss_bytes": 3e7, **more}
    return Sample("raw-c64", contender, number, metrics)


def make_run(*samples: Sample) -> results.Run:
    return results.Run(
        started="2026-01-02T03:04:05+00:00",
        settings=QUICK,
        machine={"cpu": "A <fast> one", "cpus": "2", "kernel": "6.1", "load": "0.1 0.1 0.1"},
        versions={"python": "3.13.0", "uvicorn": "1.0"},
        commit="abc1234",
        samples=samples,
        absent={"granian": "granian not installed"},
    )


RUN = make_run(
    load("limit", 1, 5.0, 170_000),
    load("fasterapi", 1, 8.0, 120_000, p99_us=500.0),
    load("uvicorn", 1, 14.0, 68_000),
    load("fastpysgi", 1, 13.0, 75_000),
    load("fasterapi", 2, 8.4, 118_000),
    load("fasterapi", 3, 9.9, 60_000),
    Sample("resets", "socketify", 1, error="hangs: <no> answer"),
    Sample("idle", "fasterapi", 1, {"bytes_per_connection": 1500.0, "idle_connections": 10_000.0}),
)


def test_medians_over_the_good_rounds() -> None:
    bad = Sample("raw-c64", "fasterapi", 4, {"cpu_us": 1.0}, error="died")
    summary = stats.summarise([*RUN.samples, bad])[1]
    assert (summary.contender, summary.rounds) == ("fasterapi", 3)
    assert summary.metrics["cpu_us"] == 8.4
    assert summary.spread["cpu_us"] == (8.0, 9.9)
    assert summary.errors == ("died",)
    assert not summary.failed


def test_all_rounds_failed() -> None:
    samples = [Sample("s", "c", n, error="hangs", notes=("n",)) for n in (1, 2)]
    (summary,) = stats.summarise(samples)
    assert summary.failed
    assert (summary.errors, summary.notes, summary.rounds) == (("hangs",), ("n",), 0)


def test_json_round_trip() -> None:
    again = results.from_json(results.to_json(RUN))
    assert again.summaries == RUN.summaries
    assert (again.settings, again.absent, again.commit) == (QUICK, RUN.absent, RUN.commit)


def test_json_of_another_schema_is_refused() -> None:
    text = results.to_json(RUN).replace('"schema": 1', '"schema": 99')
    with pytest.raises(ValueError, match="99"):
        results.from_json(text)


def row_of(table: tables.Table, contender: str) -> dict[str, tables.Cell]:
    (row,) = (row for row in table.rows if row.contender == contender)
    return dict(zip(table.columns, row.cells, strict=True))


def test_ratios_and_marks() -> None:
    table = tables.build_tables(RUN)[0]
    assert [row.contender for row in table.rows] == ["limit", "fasterapi", "uvicorn", "fastpysgi"]
    ours, best, other = (row_of(table, name) for name in ("fasterapi", "fastpysgi", "uvicorn"))
    assert ours["CPU vs peer"].text == f"{8.4 / 13:.2f}x"
    assert ours["req/s vs peer"].text == f"{118 / 75:.2f}x"
    assert ours["over limit"].text == "+3.40 us"
    assert best["CPU us/req"].best and best["req/s"].best
    assert not ours["CPU us/req"].best and not other["CPU us/req"].best
    assert ours["p50"].text == "-"


def verdict(run: results.Run, what: str) -> targets.Verdict:
    (found,) = (v for v in targets.judge(run) if v.what == what)
    return found


def test_targets() -> None:
    assert verdict(RUN, "raw ASGI: CPU over the limit").reached is True
    assert verdict(RUN, "raw ASGI: CPU against the best peer").reached is True
    assert verdict(RUN, "idle connections: memory").reached is True
    missing = verdict(RUN, "C hello: CPU over the limit")
    assert missing.reached is None
    assert missing.measured == "c-hello in raw-c64 not measured"


@pytest.mark.parametrize(("cpu_us", "reached"), [(8.5, True), (8.6, False)])
def test_the_bar_is_the_bar(cpu_us: float, reached: bool) -> None:
    run = make_run(load("limit", 1, 5.0, 1), load("fasterapi", 1, cpu_us, 1))
    assert verdict(run, "raw ASGI: CPU over the limit").reached is reached


def test_router() -> None:
    text = (
        '{"routes":500,"rounds":21,"kinds":[{"name":"static","routes":85,"ns":28.5,'
        '"best_ns":27.0,"target_ns":30,"allocations":0},{"name":"wildcard","routes":10,'
        '"ns":40.0,"best_ns":39.0,"target_ns":50,"allocations":2}]}'
    )
    run = make_run(*parse_router(text, 1))
    assert verdict(run, "router, static").reached is True
    assert verdict(run, "router, wildcard").reached is False
    assert verdict(run, "router, one parameter").reached is None
    assert "28.50" in render_text(run)


def test_disturbance_is_told() -> None:
    run = make_run(load("uvicorn", 1, 14.0, 1, others=0.31), load("limit", 1, 5.0, 1, others=0.0))
    assert "at most 31 %" in render_text(run)
    assert "at most 31 %" in render_html(run)
    assert "NOT TO BE TRUSTED" in render_text(run)
    assert "Not to be trusted" in render_html(run)
    quiet = make_run(load("uvicorn", 1, 14.0, 1, others=0.02))
    assert "TRUSTED" not in render_text(quiet)
    assert "trusted" not in render_html(quiet)


def test_lead_is_taken_from_the_best_peer() -> None:
    slow, fast = load("uvicorn", 1, 30.0, 1), load("granian", 1, 11.0, 1)
    run = make_run(load("fasterapi", 1, 8.0, 1), slow, fast)
    lead = verdict(run, "raw ASGI: CPU against the best peer")
    assert lead.reached is False
    assert "granian" in lead.measured


def test_variants_of_a_failed_run_are_no_peers_to_beat() -> None:
    failed = Sample("raw-c64", "granian", 1, error="hangs")
    run = make_run(load("fasterapi", 1, 8.0, 1), load("uvicorn", 1, 14.0, 1), failed)
    assert verdict(run, "raw ASGI: CPU against the best peer").reached is True
    assert targets.failures(run) == ["granian in raw-c64: hangs"]


def test_text_report() -> None:
    text = render_text(RUN)
    assert "*13.00" in text
    assert "FAILED: hangs: <no> answer" in text
    assert "granian: granian not installed" in text
    assert re.search(r"reached +raw ASGI: CPU over the limit", text)


class Page(HTMLParser):
    """Collects what a page refers to, and checks that its tags are closed."""

    VOID = frozenset({"meta", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "data", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_report_needs_nothing_but_itself() -> None:
    html = render_html(RUN)
    page = Page()
    page.feed(html)
    assert page.open == []
    assert page.references == []
    assert {"svg", "table", "style"} <= page.tags
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert "url(" not in html and "@import" not in html
    assert "A &lt;fast&gt; one" in html and "hangs: &lt;no&gt; answer" in html


def test_chart_is_ordered_and_proportional() -> None:
    svg = bar_chart("t", [("slow", 20.0, Role.PEER), ("fast", 10.0, Role.OURS)])
    assert svg.index("fast") < svg.index("slow")
    widths = [float(width) for width in re.findall(r'width="([0-9.]+)" height="18"', svg)]
    assert widths[0] * 2 == pytest.approx(widths[1], abs=0.2)
    assert bar_chart("t", []) == ""


def test_an_empty_run_still_reports() -> None:
    run = dataclasses.replace(make_run(), absent={})
    assert "targets not measured" in render_text(run)
    assert "Failures" not in render_html(run)
