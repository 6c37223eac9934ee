"""The raw client and the comparison of answers, against a server that says what it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fabench import answers, wire
from fabench.errors import ContenderFailed
from fabench.model import Request
from fabench.wire import Answer

JSON = (("content-type", "application/json"), ("content-length", "2"))


@contextmanager
def replying(reply: bytes, close: bool = True) -> Iterator[int]:
    """A server for one connection; gives its port. With ``close`` false it falls silent
    after the reply."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(reply)
                if not close:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join()


def test_request_bytes() -> None:
    assert wire.encode(Request("/a")) == b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    posted = wire.encode(Request("/a", "POST", "{}"))
    assert posted.endswith(b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


def test_content_length() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc"
    with replying(reply) as port:
        answer = wire.ask(port, Request("/"))
    assert answer == Answer(200, (("content-type", "text/plain"), ("content-length", "3")), b"abc")
    assert answer.header("content-type") == "text/plain"
    assert answer.header("etag") is None


def test_chunks() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
    with replying(head + b"3;x=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: 1\r\n\r\n") as port:
        answer = wire.ask(port, Request("/"))
    assert (answer.status, answer.body) == (404, b"abc0123456789")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "closed the connection"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "neither"),
    ],
)
def test_broken_answers(reply: bytes, message: str) -> None:
    with replying(reply) as port, pytest.raises(ContenderFailed, match=message):
        wire.ask(port, Request("/"))


def test_silence_is_a_failure_and_no_wait() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
    with replying(reply, close=False) as port, pytest.raises(ContenderFailed, match=r"within 0\.2"):
        wire.ask(port, Request("/"), timeout_s=0.2)


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ContenderFailed, match="no connection"):
            wire.ask(unused.getsockname()[1], Request("/"))


def test_same_answer_with_the_servers_own_fields() -> None:
    got = Answer(200, (("date", "now"), ("server", "x"), *JSON), b"{}")
    assert answers.differences(Answer(200, JSON, b"{}"), got) == []


@pytest.mark.parametrize(
    ("got", "word"),
    [
        (Answer(500, JSON, b"{}"), "status 500"),
        (Answer(200, JSON, b"[]"), "body"),
        (Answer(200, JSON[:1], b"{}"), "content-length: missing"),
        (Answer(200, (JSON[0], JSON[1], JSON[1]), b"{}"), "content-length: 2, 2"),
        (Answer(200, (("content-type", "text/html"), JSON[1]), b"{}"), "text/html"),
        (Answer(200, (*JSON, ("x-extra", "1")), b"{}"), "x-extra: 1 added"),
    ],
)
def test_every_difference_is_named(got: Answer, word: str) -> None:
    found = answers.differences(Answer(200, JSON, b"{}"), got)
    assert len(found) == 1
    assert word in found[0]
