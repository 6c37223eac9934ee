"""X-Forwarded-For and X-Forwarded-Proto, believed only from proxies that are trusted.

The server calls ``ForwardedFields`` for a request that has one of the two; others cost
nothing. What is believed, and in which order, is what uvicorn's ProxyHeadersMiddleware does.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from typing import Any

__all__ = ["ForwardedFields"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST_HOST = 253  # a DNS name; longer ones are never trusted and must not fill the cache


class ForwardedFields:
    """Applies the fields of a request to its scope, in place, if its client is trusted.

    ``trusted`` is a list (or a string with commas) of addresses, networks and literals such
    as the path of a Unix socket; ``"*"`` trusts everybody.
    """

    def __init__(self, trusted: Sequence[str] | str) -> None:
        self.trusts_all = trusted in ("*", ["*"])
        self._addresses: set[_Address] = set()
        self._networks: set[_Network] = set()
        self._literals: set[str] = set()
        if not self.trusts_all:
            for host in trusted.split(",") if isinstance(trusted, str) else trusted:
                self._add(host.strip())
        self._cached = functools.lru_cache(maxsize=4096)(self._compute)

    def __call__(self, scope: dict[str, Any]) -> None:
        client = scope["client"]
        if not self.trusts(client[0] if client else None):
            return
        proto: bytes | None = None
        hops: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-proto":
                proto = value
            elif name == b"x-forwarded-for":
                hops.append(value)
        if proto is not None:
            scheme = proto.decode("latin-1").strip()
            if scheme in ("http", "https", "ws", "wss"):
                scope["scheme"] = scheme
        if hops:
            host, port = self._first_untrusted(b", ".join(hops).decode("latin-1"))
            if host:
                scope["client"] = (host, port)

    def trusts(self, host: str | None) -> bool:
        """Whether the word of ``host`` counts."""
        if self.trusts_all:
            return True
        if not host:
            return False
        return self._cached(host) if len(host) <= _LONGEST_HOST else self._compute(host)

    def _add(self, host: str) -> None:
        try:
            if "/" in host:
                self._networks.add(ipaddress.ip_network(host))
            else:
                self._addresses.add(ipaddress.ip_address(host))
        except ValueError:
            self._literals.add(host)

    def _compute(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host in self._literals
        return address in self._addresses or any(address in net for net in self._networks)

    def _first_untrusted(self, value: str) -> tuple[str, int]:
        hops = [hop.strip() for hop in value.split(",")]
        if not self.trusts_all:
            # Each proxy adds itself behind: the nearest one that is not ours is the client.
            for hop in reversed(hops):
                host, port = _split_port(hop)
                if not self.trusts(host):
                    return host, port
        return _split_port(hops[0])


def _split_port(value: str) -> tuple[str, int]:
    """``host``, ``host:port``, ``[v6]`` or ``[v6]:port``; anything else is taken as it is."""
    if value.startswith("["):
        host, bracket, rest = value[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return value, 0
        return host, _port(rest[1:], 0) or 0
    if value.count(":") == 1:
        host, _, text = value.partition(":")
        port = _port(text, None)
        return (value, 0) if port is None else (host, port)
    return value, 0


def _port(text: str, default: int | None) -> int | None:
    try:
        return int(text)
    except ValueError:
        return default
