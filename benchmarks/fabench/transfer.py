"""Large bodies: an upload that the application takes in slowly, and a large file."""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from fabench import procfs, wire
from fabench.contenders import Contender
from fabench.errors import ContenderFailed
from fabench.model import Family, Request, Role, Sample
from fabench.servers import Server
from fabench.session import Session

MIB = 1024 * 1024
_PIECE = 256 * 1024
_UPLOAD_S = 30.0
_DOWNLOAD_S = 30.0
_TIMED_DOWNLOADS = 3


def run_upload(session: Session) -> Iterator[Sample]:
    """One sample per contender and round: how far its memory grows."""
    yield from _each(session, "upload", Family.UPLOAD, _upload)


def run_sendfile(session: Session) -> Iterator[Sample]:
    """One sample per contender and round: how fast, at what cost."""
    yield from _each(session, "sendfile", Family.FILE, _download)


def _each(
    session: Session,
    scenario: str,
    family: Family,
    measure: Callable[[Session, Contender], tuple[dict[str, float], tuple[str, ...]]],
) -> Iterator[Sample]:
    for number in range(1, session.settings.special_rounds + 1):
        for contender in session.contenders:
            if not contender.takes_part(scenario, family):
                continue
            session.say(f"round {number}  {contender.name:20} {scenario}")
            try:
                metrics, notes = measure(session, contender)
                yield Sample(scenario, contender.name, number, metrics, notes=notes)
            except ContenderFailed as error:
                session.say(f"    FAILED: {error}")
                yield Sample(scenario, contender.name, number, error=str(error))


def _upload(session: Session, contender: Contender) -> tuple[dict[str, float], tuple[str, ...]]:
    server = session.start(contender, Family.UPLOAD)
    try:
        send_body(server.port, MIB)
        before = server.rss_bytes()
        cpu = server.cpu()
        procfs.reset_peak(server.session)
        seconds = send_body(server.port, session.settings.upload_mib * MIB)
        peak = procfs.peak_rss_of(server.session)
        metrics = {
            "seconds": seconds,
            "cpu_s": server.cpu().since(cpu).total_ns / 1e9,
            "growth_bytes": float(max(peak - before, 0)),
            "peak_bytes": float(peak),
        }
        return metrics, ()
    finally:
        session.keeper.stop(server)


def send_body(port: int, size: int) -> float:
    """Uploads as fast as the server takes it; returns the seconds until the answer, which
    must be the size."""
    begun = time.perf_counter()
    piece = bytes(_PIECE)
    with wire.Connection(port, _UPLOAD_S) as connection:
        try:
            connection.socket.settimeout(_UPLOAD_S)
            head = f"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n"
            connection.socket.sendall(head.encode())
            for _ in range(size // _PIECE):
                connection.socket.sendall(piece)
                if time.perf_counter() - begun > _UPLOAD_S:
                    raise ContenderFailed(f"the upload took more than {_UPLOAD_S:g} s")
        except OSError as error:
            raise ContenderFailed(f"upload: {error}") from None
        answer = connection.read_answer()
    if answer.body != str(size).encode():
        raise ContenderFailed(f"upload of {size} answered {answer.status} {answer.body[:80]!r}")
    return time.perf_counter() - begun


def make_file(path: Path, size: int) -> int:
    """Makes a file whose every MiB differs and which takes little disk; returns its CRC.

    Mostly holes: what counts is the way from the page cache to the socket.
    """
    crc = 0
    with path.open("wb") as file:
        for index in range(size // MIB):
            mark = index.to_bytes(8, "big")
            file.write(mark)
            file.seek(MIB - len(mark), os.SEEK_CUR)
            crc = zlib.crc32(bytes(MIB - len(mark)), zlib.crc32(mark, crc))
        file.truncate(size)
    return crc


def _download(session: Session, contender: Contender) -> tuple[dict[str, float], tuple[str, ...]]:
    size = session.settings.file_mib * MIB
    file = session.scratch / "large.bin"
    crc = make_file(file, size)
    server = session.start(contender, Family.FILE, file)
    try:
        notes = _way_of(server, contender)
        check_file(server.port, size, crc)
        before = server.rss_bytes()
        cpu = server.cpu()
        procfs.reset_peak(server.session)
        seconds = min(_drain(server.port, size) for _ in range(_TIMED_DOWNLOADS))
        used = server.cpu().since(cpu).total_ns / 1e9 / _TIMED_DOWNLOADS
        gib = size / (1024 * MIB)
        growth = max(procfs.peak_rss_of(server.session) - before, 0)
        metrics = {
            "gib_per_s": gib / seconds,
            "cpu_s_per_gib": used / gib,
            "growth_bytes": float(growth),
        }
        return metrics, notes
    finally:
        session.keeper.stop(server)
        file.unlink(missing_ok=True)


def _way_of(server: Server, contender: Contender) -> tuple[str, ...]:
    """Whether it hands the file to the kernel or the application reads it."""
    if contender.role is Role.LIMIT:
        return ()
    way = wire.ask(server.port, Request("/")).body.decode(errors="replace")
    return () if way == "http.response.pathsend" else ("no pathsend: sent in pieces of 64 KiB",)


def check_file(port: int, size: int, crc: int) -> None:
    """Downloads the file and compares it. Raises ContenderFailed."""
    with wire.Connection(port, _DOWNLOAD_S) as connection:
        answer = connection.ask(Request("/file"))
    if len(answer.body) != size or zlib.crc32(answer.body) != crc:
        raise ContenderFailed(f"the file arrived wrong: {len(answer.body)} of {size} bytes")


def _drain(port: int, size: int) -> float:
    """Downloads the file and throws it away in the kernel, so that the client does not
    hold the server back; returns the seconds."""
    scrap = bytearray(4 * MIB)
    begun = time.perf_counter()
    with wire.Connection(port, _DOWNLOAD_S) as connection:
        client = connection.socket
        try:
            client.settimeout(_DOWNLOAD_S)
            client.sendall(wire.encode(Request("/file")))
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(1024)
                if not piece:
                    raise ContenderFailed("the server closed the connection before the file")
                head += piece
            left = size - (len(head) - head.index(b"\r\n\r\n") - 4)
            while left > 0:
                got = client.recv_into(scrap, min(len(scrap), left), socket.MSG_TRUNC)
                if got == 0:
                    raise ContenderFailed(f"the connection ended {left} bytes early")
                left -= got
                if time.perf_counter() - begun > _DOWNLOAD_S:
                    raise ContenderFailed(f"the file took more than {_DOWNLOAD_S:g} s")
        except OSError as error:
            raise ContenderFailed(f"download: {error}") from None
    return time.perf_counter() - begun
