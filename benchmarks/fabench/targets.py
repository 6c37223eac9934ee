"""The numbers to reach, each judged from the medians of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fabench.results import Run
from fabench.tables import best_peer
from fabench.workloads import FASTAPI_REQUESTS

OURS = "fasterapi"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target. ``reached`` is None when the run does not tell."""

    what: str
    bar: str
    measured: str
    reached: bool | None


class _NotMeasured(Exception):
    """A figure the target needs is missing; the message names it."""


class _Figures:
    """The medians, with a clear word for one that is missing."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __call__(self, scenario: str, contender: str, metric: str) -> float:
        value = self.run.metric(scenario, contender, metric)
        if value is None:
            raise _NotMeasured(f"{contender} in {scenario} not measured")
        return value

    def best_peer(self, scenario: str, metric: str, lower: bool) -> tuple[str, float]:
        summaries = [s for s in self.run.summaries if s.scenario == scenario]
        best = best_peer(summaries, metric, lower)
        if best is None:
            raise _NotMeasured(f"no peer in {scenario} measured")
        return best.contender, best.metrics[metric]


_Judge = Callable[[_Figures], tuple[str, bool]]


def judge(run: Run) -> list[Verdict]:
    """Every target, in the order in which they were set."""
    figures = _Figures(run)
    verdicts = []
    for what, bar, judgement in _targets():
        try:
            measured, reached = judgement(figures)
            verdicts.append(Verdict(what, bar, measured, reached))
        except _NotMeasured as missing:
            verdicts.append(Verdict(what, bar, str(missing), None))
    return verdicts


def _targets() -> Iterator[tuple[str, str, _Judge]]:
    yield "C hello: CPU over the limit", "<= 0.6 us", _over_limit("c-hello", 0.6)
    yield "raw ASGI: CPU over the limit", "<= 3.5 us", _over_limit(OURS, 3.5)
    yield "raw ASGI: CPU against the best peer", ">= 1.5x", _raw_lead
    for key, (title, _) in FASTAPI_REQUESTS.items():
        scenario = f"fastapi-{key}"
        what = f"FastAPI, {title}: CPU"
        yield what, "less than uvicorn's and granian's", _less_cpu(scenario)
    for scenario in ("raw-c1", "raw-c64", "raw-c512"):
        yield f"p99 in {scenario}", "better than uvicorn's", _better_p99(scenario)
    for scenario in ("fastapi-plain-c1", "fastapi-plain", "fastapi-plain-c512"):
        yield f"p99 in {scenario}", "better than uvicorn's", _better_p99(scenario)
    yield "raw req/s at 512 connections", ">= 0.85 of those at 64", _holds("raw-c512", "raw-c64")
    yield (
        "FastAPI req/s at 512 connections",
        ">= 0.85 of those at 64",
        _holds("fastapi-plain-c512", "fastapi-plain"),
    )
    yield "one connection", "ahead of uvicorn and granian", _ahead(OURS, ("uvicorn", "granian"))
    spin = f"{OURS}-spin"
    yield "one connection, spinning", "ahead of fastpysgi", _ahead(spin, ("fastpysgi",))
    yield "C hello pipelined 16 deep", ">= 5x", _pipelined("c-hello", 5.0)
    yield "raw ASGI pipelined 16 deep", ">= 1.8x", _pipelined(OURS, 1.8)
    yield "idle connections: memory", "<= 2 KiB each", _idle_memory
    yield "idle connections: speed", "CPU within 10 % of without", _idle_speed
    yield "upload to a slow handler", "memory grows < 8 MiB", _upload
    yield "large file: time", "within 10 % of sendfile in C", _file_time
    yield "large file: memory", "grows < 8 MiB", _file_memory
    for kind, bar_ns in (("static", 30), ("one parameter", 45), ("wildcard", 50)):
        yield f"router, {kind}", f"<= {bar_ns} ns, no allocation", _router(kind, bar_ns)
    yield "import beyond FastAPI's", "<= 20 ms", _import_time


def _over_limit(contender: str, bar_us: float) -> _Judge:
    def judgement(get: _Figures) -> tuple[str, bool]:
        mine, limit = get("raw-c64", contender, "cpu_us"), get("raw-c64", "limit", "cpu_us")
        return f"{mine:.2f} us, limit {limit:.2f} us: {mine - limit:+.2f}", mine - limit <= bar_us

    return judgement


def _raw_lead(get: _Figures) -> tuple[str, bool]:
    mine = get("raw-c64", OURS, "cpu_us")
    name, best = get.best_peer("raw-c64", "cpu_us", True)
    return f"{best / mine:.2f}x {name} ({best:.2f} us)", best / mine >= 1.5


def _less_cpu(scenario: str) -> _Judge:
    def judgement(get: _Figures) -> tuple[str, bool]:
        mine = get(scenario, OURS, "cpu_us")
        peers = {name: get(scenario, name, "cpu_us") for name in ("uvicorn", "granian")}
        said = ", ".join(f"{name} {value:.1f}" for name, value in peers.items())
        return f"{mine:.1f} us; {said}", all(mine < value for value in peers.values())

    return judgement


def _better_p99(scenario: str) -> _Judge:
    def judgement(get: _Figures) -> tuple[str, bool]:
        mine, other = get(scenario, OURS, "p99_us"), get(scenario, "uvicorn", "p99_us")
        return f"{mine:.0f} us; uvicorn {other:.0f} us", mine < other

    return judgement


def _holds(many: str, few: str) -> _Judge:
    def judgement(get: _Figures) -> tuple[str, bool]:
        share = get(many, OURS, "rps") / get(few, OURS, "rps")
        return f"{share:.2f}", share >= 0.85

    return judgement


def _ahead(contender: str, others: tuple[str, ...]) -> _Judge:
    def judgement(get: _Figures) -> tuple[str, bool]:
        mine = get("raw-c1", contender, "rps")
        peers = {name: get("raw-c1", name, "rps") for name in others}
        said = ", ".join(f"{name} {value:.0f}" for name, value in peers.items())
        return f"{mine:.0f} req/s; {said}", all(mine > value for value in peers.values())

    return judgement


def _pipelined(contender: str, bar: float) -> _Judge:
    """By CPU per request, since the load generator saturates before a C server does."""

    def judgement(get: _Figures) -> tuple[str, bool]:
        by_cpu = get("raw-c64", contender, "cpu_us") / get("raw-p16", contender, "cpu_us")
        by_rate = get("raw-p16", contender, "rps") / get("raw-c64", contender, "rps")
        return f"{by_rate:.2f}x req/s, {by_cpu:.2f}x by CPU", max(by_rate, by_cpu) >= bar

    return judgement


def _idle_memory(get: _Figures) -> tuple[str, bool]:
    each = get("idle", OURS, "bytes_per_connection")
    held = get("idle", OURS, "idle_connections")
    return f"{each:.0f} bytes, {held:.0f} held", each <= 2048


def _idle_speed(get: _Figures) -> tuple[str, bool]:
    without, beside = get("idle", OURS, "cpu_us_without"), get("idle", OURS, "cpu_us_with")
    return f"{without:.2f} us without, {beside:.2f} us with", beside <= 1.1 * without


def _growth(get: _Figures, scenario: str) -> tuple[str, bool]:
    growth = get(scenario, OURS, "growth_bytes") / 1048576
    return f"{growth:.1f} MiB", growth < 8


def _upload(get: _Figures) -> tuple[str, bool]:
    return _growth(get, "upload")


def _file_memory(get: _Figures) -> tuple[str, bool]:
    return _growth(get, "sendfile")


def _file_time(get: _Figures) -> tuple[str, bool]:
    mine = get("sendfile", OURS, "gib_per_s")
    limit = get("sendfile", "limit-sendfile", "gib_per_s")
    return f"{mine:.2f} GiB/s; in C {limit:.2f} GiB/s", mine >= limit / 1.1


def _router(kind: str, bar_ns: int) -> _Judge:
    def judgement(get: _Figures) -> tuple[str, bool]:
        ns, allocations = get("router", kind, "ns"), get("router", kind, "allocations")
        return f"{ns:.1f} ns, {allocations:.0f} allocations", ns <= bar_ns and allocations == 0

    return judgement


def _import_time(get: _Figures) -> tuple[str, bool]:
    beyond = get("import", OURS, "beyond_ms")
    return f"{beyond:.1f} ms", beyond <= 20


def failures(run: Run) -> list[str]:
    """What went wrong in the run, one line each, our own first."""
    found = []
    for summary in run.summaries:
        found += [f"{summary.contender} in {summary.scenario}: {e}" for e in summary.errors]
    own = [line for line in found if line.startswith((OURS, "c-hello"))]
    return own + [line for line in found if line not in own]
