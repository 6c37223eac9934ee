"""What an application is told about a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi.serving import Serve
from asgi.wire import GET, Connection, respond


class Seen:
    """An application that keeps the scopes it gets and answers with nothing."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await respond(send)


def one(serve: Serve, request: bytes, **options: Any) -> Any:
    """The scope of one request."""
    app = Seen()
    with serve(app, **options).connect() as client:
        client.ask(request)
    return app.scopes[0]


def test_every_key(serve: Serve) -> None:
    app = Seen()
    server = serve(app)
    with server.connect() as client:
        client.ask(b"GET /a/b?x=1&y=%20 HTTP/1.1\r\nHost: example.org\r\nX-One: 1\r\n\r\n")
        local = client.socket.getsockname()
    assert app.scopes == [
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "server": ("127.0.0.1", server.port),
            "client": local,
            "scheme": "http",
            "root_path": "",
            "headers": [(b"host", b"example.org"), (b"x-one", b"1")],
            "state": {},
            "method": "GET",
            "path": "/a/b",
            "raw_path": b"/a/b",
            "query_string": b"x=1&y=%20",
            "extensions": {"http.response.pathsend": {}, "http.response.early_hint": {}},
        }
    ]
    assert type(app.scopes[0]) is dict
    assert type(app.scopes[0]["headers"]) is list


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"/?", "/", b"/", b""),
        (b"/a?b?c", "/a", b"/a", b"b?c"),
        (b"/a%20b", "/a b", b"/a%20b", b""),
        (b"/%C3%A9%c3%a9", "/éé", b"/%C3%A9%c3%a9", b""),
        (b"/%E2%82%AC", "/€", b"/%E2%82%AC", b""),
        (b"/%F0%9F%8D%8C", "/🍌", b"/%F0%9F%8D%8C", b""),
        (b"/%FF", "/�", b"/%FF", b""),
        (b"/%E2%82", "/�", b"/%E2%82", b""),
        (b"/%2F%2f", "///", b"/%2F%2f", b""),
        (b"/%00", "/\0", b"/%00", b""),
        (b"/%zz%4", "/%zz%4", b"/%zz%4", b""),
        (b"/a%", "/a%", b"/a%", b""),
        (b"/%25%32%35", "/%25", b"/%25%32%35", b""),
        (b"//a/../b/./c", "//a/../b/./c", b"//a/../b/./c", b""),
        (b"/a+b", "/a+b", b"/a+b", b""),
        (b"http://other/x?y", "/x", b"/x", b"y"),
        (b"/" + b"a" * 2000 + b"%41", "/" + "a" * 2000 + "A", b"/" + b"a" * 2000 + b"%41", b""),
    ],
)
def test_path(serve: Serve, target: bytes, path: str, raw_path: bytes, query: bytes) -> None:
    scope = one(serve, b"GET " + target + b" HTTP/1.1\r\nHost: other\r\n\r\n")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


def test_asterisk(serve: Serve) -> None:
    scope = one(serve, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("OPTIONS", "*", b"*")


def test_root_path_is_put_in_front(serve: Serve) -> None:
    scope = one(serve, b"GET /x%20y HTTP/1.1\r\nHost: a\r\n\r\n", root_path="/app")
    assert scope["root_path"] == "/app"
    assert scope["path"] == "/app/x y"
    assert scope["raw_path"] == b"/app/x%20y"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PROPFIND", "get", "M-SEARCH"])
def test_method(serve: Serve, method: str) -> None:
    scope = one(serve, method.encode() + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert scope["method"] == method


def test_http_1_0(serve: Serve) -> None:
    scope = one(serve, b"GET / HTTP/1.0\r\n\r\n")
    assert scope["http_version"] == "1.0"
    assert scope["headers"] == []


def test_headers_keep_order_repetition_and_bytes(serve: Serve) -> None:
    fields = [
        (b"HOST", b"a"),
        (b"Cookie", b"a=1"),
        (b"X-Custom-Thing", b"\xe9\xff"),
        (b"COOKIE", b"b=2"),
        (b"x-empty", b""),
        (b"Accept", b"*/*"),
        (b"accept", b"text/html"),
        (b"X_Under", b"1"),
        (b"A", b"1"),
        (b"Sec-Fetch-Mode", b"cors"),
        (b"Sec-Fetch-Made", b"up"),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    scope = one(serve, b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
    assert scope["headers"] == [(name.lower(), value) for name, value in fields]
    assert all(type(pair) is tuple for pair in scope["headers"])


def test_values_of_one_request_do_not_reach_another(serve: Serve) -> None:
    app = Seen()
    server = serve(app)
    with server.connect() as client:
        for agent in (b"one", b"two", b"two", b"one"):
            client.ask(
                b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: %s\r\nAuthorization: %s\r\n\r\n"
                % (agent, agent)
            )
    agents = [dict(scope["headers"]) for scope in app.scopes]
    for name in (b"user-agent", b"authorization"):
        assert [fields[name] for fields in agents] == [b"one", b"two", b"two", b"one"]


def test_many_headers(serve: Serve) -> None:
    lines = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(200))
    scope = one(serve, b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    assert scope["headers"][1:] == [(b"x-%d" % n, b"%d" % n) for n in range(200)]


def test_scopes_are_independent(serve: Serve) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(json.dumps([scope["asgi"], scope["extensions"], scope["state"]]))
        scope["asgi"]["version"] = "changed"
        scope["extensions"]["http.response.pathsend"]["changed"] = True
        scope["extensions"].clear()
        scope["state"]["mine"] = 1
        scope["headers"].clear()
        scope["path"] = "/changed"
        scope["extra"] = object()
        await respond(send)

    with serve(app, state={"shared": 1}).connect() as client:
        client.ask()
        client.ask()
    assert scopes[0] == scopes[1]
    assert json.loads(scopes[0])[2] == {"shared": 1}


def test_state_is_a_shallow_copy(serve: Serve) -> None:
    shared: list[int] = []
    app = Seen()
    with serve(app, state={"list": shared}).connect() as client:
        client.ask()
    assert app.scopes[0]["state"]["list"] is shared


def test_clients_on_many_ports(serve: Serve) -> None:
    app = Seen()
    server = serve(app)
    locals_ = []
    for _ in range(20):
        with server.connect() as client:
            client.ask()
            locals_.append(client.socket.getsockname())
    assert [scope["client"] for scope in app.scopes] == locals_


def test_unix_socket(serve: Serve, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    app = Seen()
    server = serve(app, uds=path)
    with Connection(path) as client:
        assert client.ask(GET).status == 200
    assert app.scopes[0]["client"] is None
    assert app.scopes[0]["server"] == (path, None)
    assert server.port == 0
