"""X-Forwarded-For and X-Forwarded-Proto: believed from trusted clients, as uvicorn does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from asgi.serving import Serve
from asgi.wire import respond
from fasterapi._proxy import ForwardedFields

TRUSTED: list[list[str] | str] = [
    "127.0.0.1",
    "*",
    ["*"],
    "127.0.0.1, 10.0.0.0/8",
    ["10.0.0.0/8", "::1", "fe80::/10"],
    "nonsense/99,unix.sock, ",
    [],
    "",
]
CLIENTS = [("127.0.0.1", 1), ("10.1.2.3", 2), ("::1", 3), ("unix.sock", 0), ("x" * 300, 0), None]
FOR = [
    [],
    [b"1.2.3.4"],
    [b"1.2.3.4, 127.0.0.1"],
    [b"1.2.3.4", b"10.9.9.9"],
    [b"127.0.0.1, 10.0.0.1"],
    [b"1.2.3.4:5678"],
    [b"[2001:db8::1]:99, [::1]"],
    [b"[2001:db8::1"],
    [b"[2001:db8::1]x, 9.9.9.9:y"],
    [b"[::2]:bad"],
    [b""],
    [b" , "],
    [b"unknown, \xe9"],
    [b"2001:db8::1"],
]
PROTO = [[], [b"https"], [b" http "], [b"ftp"], [b"https", b"http"], [b"wss"], [b"\xff"]]


def scope_with(client: Any, hops: list[bytes], protos: list[bytes]) -> dict[str, Any]:
    """A scope as a server builds it."""
    headers = [(b"host", b"a")]
    headers += [(b"x-forwarded-for", hop) for hop in hops]
    headers += [(b"x-forwarded-proto", proto) for proto in protos]
    return {"type": "http", "scheme": "http", "client": client, "headers": headers}


@pytest.mark.parametrize("trusted", TRUSTED, ids=repr)
def test_the_same_as_uvicorns_middleware(trusted: list[str] | str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    theirs = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]
    ours = ForwardedFields(trusted)
    for client in CLIENTS:
        for hops in FOR:
            for protos in PROTO:
                expected = scope_with(client, hops, protos)
                actual = copy.deepcopy(expected)
                for _ in theirs(expected, None, None).__await__():  # type: ignore[arg-type]
                    pass
                ours(actual)
                assert actual == expected, (client, hops, protos)


def seen(serve: Serve, **options: Any) -> Any:
    """The client and scheme of a request that came through a proxy on this machine."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await respond(send)

    with serve(app, **options).connect() as client:
        client.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n"
            b"X-Forwarded-Proto: https\r\n\r\n"
        )
        client.ask()
    assert scopes[1]["scheme"] == "http"
    assert scopes[1]["client"][0] == "127.0.0.1"
    return scopes[0]["client"], scopes[0]["scheme"]


def test_the_loopback_is_trusted_by_default(serve: Serve) -> None:
    assert seen(serve) == (("1.2.3.4", 0), "https")


def test_others_are_not(serve: Serve) -> None:
    client, scheme = seen(serve, forwarded_allow_ips="10.0.0.1")
    assert client[0] == "127.0.0.1"
    assert scheme == "http"


def test_off(serve: Serve) -> None:
    client, scheme = seen(serve, proxy_headers=False)
    assert client[0] == "127.0.0.1"
    assert scheme == "http"


def test_the_environment_names_them(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.1")
    assert seen(serve)[1] == "http"
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.1")
    assert seen(serve)[1] == "https"
