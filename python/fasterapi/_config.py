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
_DEFAULT_HIGH_WATER = 64 * 1024  # of both presets

# Option: the field of struct fa_limits, and what makes sense for it. Below the least a server
# could not answer anybody; 0 is "none" where it is the least.
_COUNTS = {
    "limit_body": ("body_bytes", 0, 2**63 - 1),
    "limit_concurrency": ("requests_in_flight", 1, 2**32 - 1),
    "limit_connections": ("connections", 1, 2**32 - 1),
    "limit_header_bytes": ("header_bytes", 256, 2**24),
    "limit_header_fields": ("header_fields", 1, 65535),
    "limit_request_line": ("request_line_bytes", 64, 2**24),
    "limit_body_rate": ("body_min_rate", 0, 2**32 - 1),
    "limit_body_buffer": ("body_buffer_bytes", 1024, 2**31 - 1),
    "limit_write_high_water": ("write_high_water", 1, 2**31 - 1),
    "limit_write_low_water": ("write_low_water", 1, 2**31 - 1),
    "limit_requests_per_connection": ("requests_per_connection", 0, 2**32 - 1),
    "limit_pipeline_burst": ("pipeline_burst", 1, 2**32 - 1),
}
_TIMES = {
    "timeout_keep_alive": "keep_alive_ms",
    "timeout_header": "header_timeout_ms",
    "timeout_body": "body_timeout_ms",
    "timeout_write": "write_timeout_ms",
}


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
    limit_request_line: int | None = None
    """Bytes of a request line, then 414."""
    limit_body_rate: int | None = None
    """Bytes a second that a body must bring on average, else 408; 0 is none."""
    limit_body_buffer: int | None = None
    """Bytes of a body held unread for a slow application; then the client waits."""
    limit_write_high_water: int | None = None
    """Bytes of an answer held for a slow client; then ``send()`` waits."""
    limit_write_low_water: int | None = None
    """Bytes of it below which ``send()`` goes on; at most ``limit_write_high_water``."""
    limit_requests_per_connection: int | None = None
    """Requests on one connection, then it is closed; 0 is none."""
    limit_pipeline_burst: int | None = None
    """Pipelined requests of one connection served before others have their turn."""
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
        self._check_water_marks()
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
        for name, (native, least, most) in _COUNTS.items():
            count = getattr(self, name)
            if count is None:
                continue
            if not least <= count <= most:
                raise ValueError(f"{name} must be between {least} and {most}, not {count}")
            limits[native] = count
        for name, native in _TIMES.items():
            seconds = getattr(self, name)
            if seconds is None:
                continue
            if not 0 <= seconds <= _LONGEST_MS / _SECOND_MS:
                raise ValueError(f"{name} is no time in seconds: {seconds}")
            # 0 would mean "none" to the server; as under uvicorn it means "at once".
            limits[native] = max(1, round(seconds * _SECOND_MS))
        return limits

    def _check_water_marks(self) -> None:
        low = self.limit_write_low_water
        high = self.limit_write_high_water
        if high is None:
            high = _DEFAULT_HIGH_WATER
        if low is not None and low > high:
            raise ValueError(
                f"limit_write_low_water must not be above limit_write_high_water, {low} > {high}"
            )


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        allowed = ", ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f"{name} must be one of {allowed}, not {value!r}")
