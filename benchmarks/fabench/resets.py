"""Clients that vanish with a reset in the middle of things: the server must go on."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

from fabench import wire
from fabench.contenders import Contender
from fabench.errors import ContenderFailed
from fabench.model import Family, Sample
from fabench.session import Session
from fabench.workloads import RAW_REQUEST

_WAVES = 10
_CLIENTS = 100  # of each wave
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time


def run_resets(session: Session) -> Iterator[Sample]:
    """One sample per contender: after a thousand resets, how fast does it answer?"""
    for contender in session.contenders:
        if not contender.takes_part("resets", Family.RAW):
            continue
        session.say(f"         {contender.name:20} clients that reset")
        try:
            yield _measure(session, contender)
        except ContenderFailed as error:
            session.say(f"    FAILED: {error}")
            yield Sample("resets", contender.name, 1, error=str(error))


def _measure(session: Session, contender: Contender) -> Sample:
    server = session.start_checked(contender, Family.RAW)
    try:
        for wave in range(_WAVES):
            try:
                reset_wave(server.port)
            except OSError as error:
                raise ContenderFailed(f"in wave {wave + 1}: {error}") from None
            server.check_alive(RAW_REQUEST)
        begun = time.perf_counter()
        server.check_alive(RAW_REQUEST)
        answer_ms = (time.perf_counter() - begun) * 1e3
        metrics = {"resets": float(_WAVES * _CLIENTS), "answer_ms": answer_ms}
        return Sample("resets", contender.name, 1, metrics)
    finally:
        session.keeper.stop(server)


def reset_wave(port: int, count: int = _CLIENTS) -> None:
    """Clients reset before a request, within its head, within its body, while its answer
    is written, and with far more answers owed than they will ever read."""
    whole = wire.encode(RAW_REQUEST)
    post = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000)
    sent = (b"", whole[: len(whole) // 2], post, whole, whole * 500)
    clients = []
    try:
        for index in range(count):
            client = socket.create_connection(("127.0.0.1", port), 3.0)
            clients.append(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            client.sendall(sent[index % len(sent)])
    finally:
        for client in clients:
            client.close()
