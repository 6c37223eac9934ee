"""The options of a server: names, defaults, and the checks that need no server."""

from __future__ import annotations

import os
import random
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Config"]

_SECOND_MS = 1000
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110 section 5.1, in lower case
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LONGEST_MS = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """How an application is served. Names are uvicorn's where uvicorn has them.

    Times are seconds, sizes bytes. ``None`` leaves a limit to its preset. Raises ``ValueError``
    or ``TypeError``, one sentence, for values that make no sense.
    """

    host: str | None = "127.0.0.1"
    """Name or address to listen on; None is every IPv4 interface."""
    port: int = 8000
    """0 lets the system choose."""
    uds: str | None = None
    """Path of a Unix socket, instead of host and port."""
    fd: int | None = None
    """An inherited listening descriptor, instead of host and port."""
    sockets: Sequence[socket.socket] | None = None
    """Bound sockets, instead of all of these; closed when the server stops."""
    backlog: int = 2048
    """Connections that the kernel queues before they are accepted."""

    root_path: str = ""
    """ASGI ``root_path``, also put in front of ``path`` and ``raw_path``; ASCII."""
    lifespan: Literal["auto", "on", "off"] = "auto"
    task_impl: Literal["native", "asyncio"] = "native"
    """What drives handlers: our task, or ``loop.create_task`` as the reference."""
    spin_us: int = 0
    """Microseconds to poll before sleeping; only on ``fasterapi.Loop``."""

    limits: Literal["default", "strict"] = "default"
    """The preset that the limits below change."""
    limit_body: int | None = None
    """Bytes of a request body, then 413; 0 is none."""
    limit_concurrency: int | None = None
    """Requests in flight, then 503."""
    limit_connections: int | None = None
    """Open connections; further ones are answered 503."""
    limit_header_bytes: int | None = None
    """Bytes of a header section, then 431."""
    limit_header_fields: int | None = None
    """Fields of a header section, then 431."""
    limit_max_requests: int | None = None
    """Requests, then the server stops."""
    limit_max_requests_jitter: int = 0
    """Up to this many more, by chance, so that workers do not stop together."""
    timeout_keep_alive: float | None = None
    """Idle seconds before a connection is closed."""
    timeout_header: float | None = None
    """Seconds for a whole header section, then 408."""
    timeout_body: float | None = None
    """Seconds without a byte of a body that is wanted, then 408."""
    timeout_write: float | None = None
    """Seconds without progress of a client that does not read its answer."""
    timeout_graceful_shutdown: float | None = 30.0
    """Seconds to drain before calls are cancelled; None waits for ever."""

    server_header: bool = True
    date_header: bool = True
    headers: Sequence[tuple[str, str]] = ()
    """Fields for every response."""
    access_log: bool = True
    proxy_headers: bool = True
    """Believe X-Forwarded-For and X-Forwarded-Proto from ``forwarded_allow_ips``."""
    forwarded_allow_ips: Sequence[str] | str | None = None
    """Addresses, networks or ``"*"``; default ``$FORWARDED_ALLOW_IPS`` or the loopback."""

    _native_limits: dict[str, int | str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check everything that can be checked without a server."""
        _choice("lifespan", self.lifespan, ("auto", "on", "off"))
        _choice("task_impl", self.task_impl, ("native", "asyncio"))
        _choice("limits", self.limits, ("default", "strict"))
        if not self.root_path.isascii():
            raise ValueError(f"root_path must be ASCII, percent-encoded: {self.root_path!r}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"{self.port} is not a port (0 to 65535)")
        for name in ("spin_us", "backlog", "limit_max_requests_jitter"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.limit_max_requests is not None and self.limit_max_requests < 1:
            raise ValueError("limit_max_requests must be at least 1")
        grace = self.timeout_graceful_shutdown
        if grace is not None and not 0 <= grace <= _LONGEST_MS / _SECOND_MS:
            raise ValueError(f"timeout_graceful_shutdown is no time in seconds: {grace}")
        self.encoded_headers()
        object.__setattr__(self, "_native_limits", self._collect_limits())

    def native_limits(self) -> dict[str, int | str]:
        """The limits as ``_native.HttpServer`` takes them."""
        return dict(self._native_limits)

    def encoded_headers(self) -> list[tuple[bytes, bytes]]:
        """``headers`` as bytes; ``ValueError`` for what cannot be sent."""
        encoded = []
        for name, value in self.headers:
            try:
                pair = name.lower().encode("ascii"), value.encode("latin-1")
            except UnicodeEncodeError:
                raise ValueError(f"header {name!r} has characters that HTTP forbids") from None
            if not _TOKEN.fullmatch(pair[0]) or _CONTROL.search(pair[1]):
                raise ValueError(f"header {name!r} has characters that HTTP forbids")
            encoded.append(pair)
        return encoded

    def server_name(self) -> bytes:
        """The value of ``Server``; empty where there is none or ``headers`` has its own."""
        own = any(name == b"server" for name, _ in self.encoded_headers())
        return b"" if own or not self.server_header else b"fasterapi"

    def date(self) -> bool:
        """Whether the server adds ``Date``."""
        return self.date_header and all(name != b"date" for name, _ in self.encoded_headers())

    def max_requests(self) -> int:
        """After how many requests to stop, this time; 0 is never."""
        if self.limit_max_requests is None:
            return 0
        return self.limit_max_requests + random.randint(0, self.limit_max_requests_jitter)

    def trusted_proxies(self) -> Sequence[str] | str:
        """Whose X-Forwarded fields count."""
        if self.forwarded_allow_ips is not None:
            return self.forwarded_allow_ips
        return os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")

    def _collect_limits(self) -> dict[str, int | str]:
        limits: dict[str, int | str] = {"preset": self.limits}
        counts = {
            "body_bytes": ("limit_body", self.limit_body, 0, 2**63 - 1),
            "requests_in_flight": ("limit_concurrency", self.limit_concurrency, 1, 2**32 - 1),
            "connections": ("limit_connections", self.limit_connections, 1, 2**32 - 1),
            "header_bytes": ("limit_header_bytes", self.limit_header_bytes, 256, 2**24),
            "header_fields": ("limit_header_fields", self.limit_header_fields, 1, 65535),
        }
        for native, (name, count, least, most) in counts.items():
            if count is None:
                continue
            if not least <= count <= most:
                raise ValueError(f"{name} must be between {least} and {most}, not {count}")
            limits[native] = count
        times = {
            "keep_alive_ms": ("timeout_keep_alive", self.timeout_keep_alive),
            "header_timeout_ms": ("timeout_header", self.timeout_header),
            "body_timeout_ms": ("timeout_body", self.timeout_body),
            "write_timeout_ms": ("timeout_write", self.timeout_write),
        }
        for native, (name, seconds) in times.items():
            if seconds is None:
                continue
            if not 0 <= seconds <= _LONGEST_MS / _SECOND_MS:
                raise ValueError(f"{name} is no time in seconds: {seconds}")
            # 0 would mean "none" to the server; as under uvicorn it means "at once".
            limits[native] = max(1, round(seconds * _SECOND_MS))
        return limits


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        allowed = ", ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f"{name} must be one of {allowed}, not {value!r}")
