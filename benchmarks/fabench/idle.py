"""Many idle keep-alive connections: what each costs, and whether the others suffer."""

from __future__ import annotations

import resource
import select
from collections.abc import Iterator
from contextlib import ExitStack

from fabench import rounds, wire
from fabench.contenders import Contender
from fabench.errors import BenchError, ContenderFailed
from fabench.model import Family, Sample, Workload
from fabench.servers import Server
from fabench.session import Session
from fabench.workloads import RAW_REQUEST

_BESIDE = Workload("idle", "beside idle connections", Family.RAW, RAW_REQUEST, 64)
_RESERVE_FDS = 1000  # of this program and of the server, beside the connections
_ASK_AGAIN = 50  # of the idle connections, at the end


def raise_descriptor_limit(connections: int) -> None:
    """Lets this program, and the servers it starts, open that many connections.

    Raises BenchError when the hard limit forbids it.
    """
    wanted = connections + _RESERVE_FDS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(
            f"{connections} idle connections need {wanted} descriptors, the hard limit is "
            f"{hard}; raise it (ulimit -Hn) or use --idle-connections"
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run_idle(session: Session) -> Iterator[Sample]:
    """One sample per contender and round of the special scenarios."""
    raise_descriptor_limit(session.settings.idle_connections)
    for number in range(1, session.settings.special_rounds + 1):
        for contender in session.contenders:
            if not contender.takes_part("idle", Family.RAW):
                continue
            session.say(f"round {number}  {contender.name:20} idle connections")
            try:
                yield _measure(session, contender, number)
            except ContenderFailed as error:
                session.say(f"    FAILED: {error}")
                yield Sample("idle", contender.name, number, error=str(error))


def _measure(session: Session, contender: Contender, number: int) -> Sample:
    server = session.start_checked(contender, Family.RAW)
    try:
        rounds.timed(session, server, _BESIDE)
        _, without = rounds.timed(session, server, _BESIDE)
        return _with_idle(session, server, contender, number, without)
    finally:
        session.keeper.stop(server)


def _with_idle(
    session: Session,
    server: Server,
    contender: Contender,
    number: int,
    without: dict[str, float],
) -> Sample:
    wanted = session.settings.idle_connections
    with ExitStack() as stack:
        before = server.rss_bytes()
        idle = _open(stack, server.port, wanted)
        grown = server.rss_bytes() - before
        _, beside = rounds.timed(session, server, _BESIDE)
        kept = len(idle) - count_closed([connection.socket.fileno() for connection in idle])
        if kept == len(idle):
            for connection in idle[:: max(len(idle) // _ASK_AGAIN, 1)]:
                connection.ask(RAW_REQUEST)
    server.check_alive(RAW_REQUEST)
    metrics: dict[str, float] = {
        "idle_connections": kept,
        "bytes_per_connection": grown / len(idle),
        "rss_bytes": before + grown,
    }
    for name in ("rps", "cpu_us", "p99_us"):
        metrics[f"{name}_without"] = without[name]
        metrics[f"{name}_with"] = beside[name]
    notes = () if kept == wanted else (f"it closed {wanted - kept} of {wanted} idle connections",)
    return Sample("idle", contender.name, number, metrics, notes=notes)


def _open(stack: ExitStack, port: int, count: int) -> list[wire.Connection]:
    """Opens connections that have each had one answer."""
    opened = []
    for index in range(count):
        try:
            connection = stack.enter_context(wire.Connection(port))
            connection.ask(RAW_REQUEST)
        except ContenderFailed as error:
            raise ContenderFailed(f"at the {index + 1}th idle connection: {error}") from None
        opened.append(connection)
    return opened


def count_closed(descriptors: list[int]) -> int:
    """How many of the quiet connections the other side has closed."""
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN | select.POLLRDHUP)
    return len(poller.poll(0))
