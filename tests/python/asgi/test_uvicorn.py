"""The same application and the same bytes on uvicorn and here: what each of the two sides of
a server sees must be equal, where the design does not say otherwise.

Known to differ, by RFC 9110 and 9112: uvicorn's httptools keeps the blanks behind a value, and
adds the trailers of a chunked body to the headers; it fails on ``http://host`` without a path,
and answers HTTP/1.0 with chunks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from asgi.serving import Live
from asgi.wire import Answer, Connection

Seen = list[tuple[Any, list[Any]]]


class Recorder:
    """Keeps scopes and messages, and answers by the path."""

    def __init__(self) -> None:
        self.seen: Seen = []
        self.ended = threading.Semaphore(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.call(scope, receive, send)
        finally:
            self.ended.release()

    async def call(self, scope: Any, receive: Any, send: Any) -> None:
        """Read, answer, and see what comes behind the answer."""
        assert scope["type"] == "http"
        messages: list[Any] = []
        self.seen.append((dict(scope), messages))
        kind = scope["path"].rpartition("/")[2]
        if kind != "unread":
            more = True
            while more:
                messages.append(await receive())
                more = messages[-1].get("more_body", False)
        await getattr(self, f"answer_{kind}", self.answer)(scope, send)
        if kind != "nothing":
            messages.append(await receive())

    async def answer(self, scope: Any, send: Any) -> None:
        body = repr(sorted(scope)).encode()
        headers = [(b"content-length", b"%d" % len(body)), (b"X-Case", b"Kept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def answer_chunked(self, scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 203})
        for piece in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def answer_says_chunked(self, scope: Any, send: Any) -> None:
        headers = [(b"transfer-encoding", b"chunked"), (b"x-a", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"abc"})

    async def answer_close(self, scope: Any, send: Any) -> None:
        headers = [(b"connection", b"close"), (b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    async def answer_empty(self, scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def answer_unmodified(self, scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b"x")]})
        await send({"type": "http.response.body", "body": b""})

    async def answer_error(self, scope: Any, send: Any) -> None:
        raise ValueError("broken")

    async def answer_exit(self, scope: Any, send: Any) -> None:
        raise SystemExit(3)

    async def answer_nothing(self, scope: Any, send: Any) -> None:
        return

    async def answer_memoryview(self, scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": memoryview(b"abc")})

    async def answer_none(self, scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": None})

    async def answer_padded(self, scope: Any, send: Any) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b" \t2 \t")],
            }
        )
        await send({"type": "http.response.body", "body": b"ok"})

    async def answer_twice(self, scope: Any, send: Any) -> None:
        headers = [(b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 599, "headers": headers})
        await send({"type": "http.response.body"})


def request(line: str, *fields: str, body: bytes = b"", version: str = "1.1") -> tuple[bytes, bool]:
    """The bytes of a request, and whether it is a HEAD."""
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{line} HTTP/{version}", "Host: example.org", *fields, *length, "", ""]
    return "\r\n".join(lines).encode() + body, line.startswith("HEAD ")


REQUESTS = {
    "plain": request("GET /"),
    "query": request("GET /a?b=c&d=%20"),
    "empty query": request("GET /a?"),
    "percent": request("GET /%41%2F%C3%A9%FF%zz%"),
    "semicolons": request("GET /a;b=c,d/e!$&'()*+:@"),
    "absolute": request("GET http://example.org/x/y?z"),
    "dots": request("GET /a/../b/./c//d"),
    "post": request("POST /", body=b"hello"),
    "post binary": request("POST /", "Content-Type: a/b", body=bytes(range(256)) * 100),
    "put unread": request("PUT /unread", body=b"hello"),
    "delete": request("DELETE /"),
    "patch": request("PATCH /", body=b"x"),
    "options": request("OPTIONS /"),
    "head": request("HEAD /"),
    "head chunked": request("HEAD /chunked"),
    "head empty": request("HEAD /empty"),
    "folded names": request("GET /", "X-UPPER: A", "x-lower: b", "X_under: c", "Cookie: d=e"),
    "repeated names": request("GET /", "Accept: a", "X: 1", "accept: b", "x: 2"),
    "blanks before values": request("GET /", "X-One:    1", "X-Two:2", "X-Three:\t3"),
    "empty value": request("GET /", "X-One:", "X-Two: "),
    "latin-1 value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \xe9\xff\r\n\r\n", False),
    "1.0": request("GET /", version="1.0"),
    "connection close": request("GET /", "Connection: close"),
    "chunked request": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n0\r\n\r\n",
        False,
    ),
    "h2c upgrade": request("GET /", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
    "forwarded": request("GET /", "X-Forwarded-For: 9.8.7.6:5", "X-Forwarded-Proto: https"),
    "chunked": request("GET /chunked"),
    "says chunked": request("GET /says_chunked"),
    "close": request("GET /close"),
    "empty": request("GET /empty"),
    "unmodified": request("GET /unmodified"),
    "error": request("GET /error"),
    "exit": request("GET /exit"),
    "nothing": request("GET /nothing"),
    "memoryview": request("GET /memoryview"),
    "none": request("GET /none"),
    "twice": request("GET /twice"),
    "padded": request("GET /padded"),
}


class Pair:
    """The two servers, each with a recorder."""

    def __init__(self, uvicorn_port: int, theirs: Recorder, ours: Live, recorder: Recorder) -> None:
        self.ports = (uvicorn_port, ours.port)
        self.recorders = (theirs, recorder)


def serve_pair(root_path: str) -> Iterator[Pair]:
    """Run both until the generator is closed."""
    theirs, recorder = Recorder(), Recorder()
    config = uvicorn.Config(
        theirs,
        port=0,
        http="httptools",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        root_path=root_path,
    )
    server = uvicorn.Server(config)
    ready = threading.Event()

    async def main() -> None:
        async def watch() -> None:
            while not server.started:
                await asyncio.sleep(0.01)
            ready.set()

        watching = asyncio.create_task(watch())
        await server.serve()
        await watching

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(20)
    port = server.servers[0].sockets[0].getsockname()[1]
    with Live(recorder, lifespan="off", root_path=root_path) as ours:
        yield Pair(port, theirs, ours, recorder)
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    yield from serve_pair("")


@pytest.fixture(scope="module")
def pair_with_root_path() -> Iterator[Pair]:
    yield from serve_pair("/root")


def talk(port: int, recorder: Recorder, name: str) -> tuple[Answer, Any, list[Any]]:
    """One request; the answer, the scope and the messages of it."""
    data, head = REQUESTS[name]
    before = len(recorder.seen)
    with Connection(port) as client:
        client.send(data)
        answer = client.answer(head=head)
    assert recorder.ended.acquire(timeout=20)
    scope, messages = recorder.seen[before]
    return answer, scope, messages


def neutral(scope: dict[str, Any]) -> dict[str, Any]:
    """A scope without what must differ."""
    scope = dict(scope)
    assert scope.pop("asgi")["version"] == "3.0"
    scope.pop("extensions", None)
    scope["server"] = scope["server"][0]
    scope["client"] = scope["client"][0]
    return scope


def fields(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The fields of an answer without those that must differ, in lower case."""
    return [
        (name.lower(), value)
        for name, value in answer.headers
        if name.lower() not in (b"date", b"server")
    ]


# What is told apart on purpose: see the module asgi_response.c and RFC 9112.
FRAMING = {"1.0", "nothing", "error", "exit", "connection close"}


@pytest.mark.parametrize("name", REQUESTS)
def test_equal(pair: Pair, name: str) -> None:
    compare(pair, name)


@pytest.mark.parametrize("name", ["plain", "percent", "absolute", "query"])
def test_equal_under_a_root_path(pair_with_root_path: Pair, name: str) -> None:
    compare(pair_with_root_path, name)


def compare(pair: Pair, name: str) -> None:
    """Talk to both and compare everything."""
    theirs, ours = (
        talk(port, recorder, name)
        for port, recorder in zip(pair.ports, pair.recorders, strict=True)
    )
    assert neutral(ours[1]) == neutral(theirs[1])
    assert [*neutral(ours[1])] == [*neutral(theirs[1])]
    assert whole(ours[2]) == whole(theirs[2])
    assert ours[0].status == theirs[0].status
    if "extensions" not in ours[0].body.decode("latin-1"):
        assert ours[0].body == theirs[0].body
    mine, other = fields(ours[0]), fields(theirs[0])
    if b"'asgi'" in ours[0].body or REQUESTS[name][1]:
        mine = [pair for pair in mine if pair[0] != b"content-length"]
        other = [pair for pair in other if pair[0] != b"content-length"]
    assert (sorted(mine) if name in FRAMING else mine) == (
        sorted(other) if name in FRAMING else other
    )


def whole(messages: list[Any]) -> tuple[bytes, list[str]]:
    """What the messages say, however the bytes were cut."""
    body = b"".join(message.get("body", b"") for message in messages)
    kinds = [message["type"] for message in messages if not message.get("more_body")]
    return body, kinds
