"""Answers only, no timing: keeps the harness and our own contenders from rotting."""

from __future__ import annotations

import time

from fabench import answers, transfer, wire
from fabench.contenders import Contender
from fabench.errors import ContenderFailed
from fabench.model import Family
from fabench.servers import Server
from fabench.session import Session
from fabench.workloads import RAW_REQUEST

_PIPELINED = 16
_FILE_MIB = 4


def run_smoke(session: Session) -> list[str]:
    """Starts every contender for every family it serves and compares its answers. Returns
    what was wrong; empty when all is well."""
    wrong = []
    for contender in session.contenders:
        for family in (f for f in Family if f in contender.families):
            try:
                _check(session, contender, family)
                session.say(f"ok      {contender.name:20} {family.value}")
            except ContenderFailed as error:
                session.say(f"FAILED  {contender.name:20} {family.value}: {error}")
                wrong.append(f"{contender.name}, {family.value}: {error}")
    return wrong


def _check(session: Session, contender: Contender, family: Family) -> None:
    """Every answer of the family, then what only a whole body or a pipeline shows."""
    file = session.scratch / "smoke.bin" if family is Family.FILE else None
    size = _FILE_MIB * transfer.MIB
    crc = transfer.make_file(file, size) if file is not None else 0
    server = session.start(contender, family, file)
    try:
        answers.check(server.port, session.expected.of(family))
        if family is Family.RAW:
            check_pipelined(server, session.expected.of(family)[0][1])
        elif family is Family.UPLOAD:
            transfer.send_body(server.port, transfer.MIB)
        elif family is Family.FILE:
            transfer.check_file(server.port, size, crc)
    finally:
        session.keeper.stop(server)


def check_pipelined(server: Server, expected: wire.Answer) -> None:
    """Sends 16 requests at once and compares the 16 answers."""
    with wire.Connection(server.port) as connection:
        begun = time.monotonic()
        connection.socket.sendall(wire.encode(RAW_REQUEST) * _PIPELINED)
        for index in range(_PIPELINED):
            found = answers.differences(expected, connection.read_answer())
            if found:
                raise ContenderFailed(f"pipelined answer {index + 1}: {'; '.join(found)}")
        if time.monotonic() - begun > 1.0:
            raise ContenderFailed("16 pipelined answers took more than a second")
