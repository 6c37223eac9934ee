"""The loads: contender after contender in each round, so that a slow moment of the
machine falls on all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fabench import answers, load, procfs, wire
from fabench.contenders import Contender
from fabench.errors import ContenderFailed, WrongAnswer
from fabench.model import Family, Sample, Workload
from fabench.servers import SERVER_CORE, Server
from fabench.session import Session

_WARM_REQUESTS = 100


def run_rounds(session: Session, workloads: Sequence[Workload]) -> Iterator[Sample]:
    """Measures every workload with every contender that takes part, round by round. The
    order turns by one each round, so that nobody always follows the same neighbour."""
    families = list(dict.fromkeys(work.family for work in workloads))
    for number in range(1, session.settings.rounds + 1):
        for family in families:
            loads = [work for work in workloads if work.family is family]
            turn = number % max(len(session.contenders), 1)
            order = [*session.contenders[turn:], *session.contenders[:turn]]
            for contender in order:
                mine = [work for work in loads if contender.takes_part(work.key, family)]
                if mine:
                    yield from _run_one(session, contender, family, mine, number)


def _run_one(
    session: Session, contender: Contender, family: Family, loads: Sequence[Workload], number: int
) -> Iterator[Sample]:
    """All workloads of a family on one start of a contender; a contender that hangs or
    dies is started again for the next."""
    server: Server | None = None
    try:
        for work in loads:
            session.say(f"round {number}  {contender.name:20} {work.title}")
            try:
                if server is None:
                    server = session.start(contender, family)
                    _warm(session, server, work)
                # Before each run: a server may answer one route rightly and not another.
                answers.check(server.port, session.expected.of_request(family, work.request))
                yield _measure(session, server, contender, work, number)
            except ContenderFailed as error:
                session.say(f"    FAILED: {error}")
                yield Sample(work.key, contender.name, number, error=str(error))
                if server is not None and not isinstance(error, WrongAnswer):
                    session.keeper.stop(server)
                    server = None
    finally:
        if server is not None:
            session.keeper.stop(server)


def _warm(session: Session, server: Server, work: Workload) -> None:
    load.run_wrk(session.tools.wrk, server.port, work, session.settings.warm_seconds)


def _measure(
    session: Session, server: Server, contender: Contender, work: Workload, number: int
) -> Sample:
    """One timed run; afterwards the server must still answer."""
    with wire.Connection(server.port) as connection:
        for _ in range(_WARM_REQUESTS):
            connection.ask(work.request)
    result, metrics = timed(session, server, work)
    metrics["rss_bytes"] = server.rss_bytes()
    server.check_alive(work.request)
    if result.status_errors:
        raise ContenderFailed("; ".join(result.complaints()))
    return Sample(work.key, contender.name, number, metrics, notes=result.complaints())


def timed(
    session: Session, server: Server, work: Workload
) -> tuple[load.LoadResult, dict[str, float]]:
    """Runs a load and reads the server's CPU time around it, and what others took of its
    core, as a share. Raises ContenderFailed when nothing was answered."""
    after: list[tuple[procfs.Cpu, int]] = []
    before, busy = server.cpu(), procfs.core_busy_ns(SERVER_CORE)
    result = load.run_wrk(
        session.tools.wrk,
        server.port,
        work,
        session.settings.seconds,
        at_end=lambda: after.append((server.cpu(), procfs.core_busy_ns(SERVER_CORE))),
    )
    if result.requests == 0:
        raise ContenderFailed(f"answered nothing under load; {'; '.join(result.complaints())}")
    used = after[0][0].since(before)
    others_ns = max(after[0][1] - busy - used.total_ns, 0)
    metrics = {
        "rps": result.rps,
        "cpu_us": used.total_ns / 1e3 / result.requests,
        "user_us": used.user_ns / 1e3 / result.requests,
        "sys_us": used.sys_ns / 1e3 / result.requests,
        "others": others_ns / 1e9 / result.duration_s,
    }
    if work.pipeline == 1:  # wrk's latencies of a pipeline are often nought
        metrics |= {
            "p50_us": result.p50_us,
            "p99_us": result.p99_us,
            "max_us": result.max_us,
        }
    return result, metrics
