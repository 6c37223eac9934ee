"""Options: what they become, and the sentence for those that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from fasterapi._config import Config
from fasterapi.server import Server


def test_defaults() -> None:
    config = Config()
    assert (config.host, config.port, config.root_path) == ("127.0.0.1", 8000, "")
    assert config.native_limits() == {"preset": "default"}
    assert config.server_name() == b"fasterapi"
    assert config.date()
    assert config.max_requests() == 0
    assert config.encoded_headers() == []


def test_limits_and_times() -> None:
    config = Config(
        limits="strict",
        limit_body=0,
        limit_concurrency=7,
        limit_connections=8,
        limit_header_bytes=1000,
        limit_header_fields=9,
        limit_request_line=500,
        limit_body_rate=10,
        limit_body_buffer=2000,
        limit_write_high_water=12,
        limit_write_low_water=11,
        limit_requests_per_connection=0,
        limit_pipeline_burst=13,
        timeout_keep_alive=2,
        timeout_header=0.5,
        timeout_body=1.5,
        timeout_write=0,
    )
    assert config.native_limits() == {
        "preset": "strict",
        "body_bytes": 0,
        "requests_in_flight": 7,
        "connections": 8,
        "header_bytes": 1000,
        "header_fields": 9,
        "request_line_bytes": 500,
        "body_min_rate": 10,
        "body_buffer_bytes": 2000,
        "write_high_water": 12,
        "write_low_water": 11,
        "requests_per_connection": 0,
        "pipeline_burst": 13,
        "keep_alive_ms": 2000,
        "header_timeout_ms": 500,
        "body_timeout_ms": 1500,
        "write_timeout_ms": 1,
    }


def test_jitter() -> None:
    numbers = {
        Config(limit_max_requests=100, limit_max_requests_jitter=5).max_requests()
        for _ in range(200)
    }
    assert numbers <= set(range(100, 106))
    assert len(numbers) > 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lifespan": "maybe"}, 'lifespan must be one of "auto", "on", "off"'),
        ({"task_impl": "curio"}, "task_impl must be one of"),
        ({"limits": "loose"}, "limits must be one of"),
        ({"root_path": "/é"}, "root_path must be ASCII"),
        ({"port": 65536}, "is not a port"),
        ({"port": -1}, "is not a port"),
        ({"spin_us": -1}, "spin_us must not be negative"),
        ({"backlog": -1}, "backlog must not be negative"),
        ({"limit_body": -1}, "limit_body must be between"),
        ({"limit_concurrency": 0}, "limit_concurrency must be between"),
        ({"limit_request_line": 63}, "limit_request_line must be between"),
        ({"limit_body_rate": 2**32}, "limit_body_rate must be between"),
        ({"limit_body_buffer": 0}, "limit_body_buffer must be between"),
        ({"limit_write_high_water": 0}, "limit_write_high_water must be between"),
        ({"limit_write_low_water": 65537}, "limit_write_low_water must not be above"),
        (
            {"limit_write_low_water": 3, "limit_write_high_water": 2},
            "limit_write_low_water must not be above limit_write_high_water, 3 > 2",
        ),
        ({"limit_requests_per_connection": -1}, "limit_requests_per_connection must be between"),
        ({"limit_pipeline_burst": 0}, "limit_pipeline_burst must be between"),
        ({"limit_max_requests": 0}, "limit_max_requests must be at least 1"),
        ({"timeout_keep_alive": -1}, "timeout_keep_alive is no time"),
        ({"timeout_keep_alive": float("nan")}, "timeout_keep_alive is no time"),
        ({"timeout_body": float("inf")}, "timeout_body is no time"),
        ({"timeout_graceful_shutdown": -1}, "timeout_graceful_shutdown is no time"),
        ({"headers": [("a", "b\r\nc: d")]}, "characters that HTTP forbids"),
        ({"headers": [("a", "\u20ac")]}, "characters that HTTP forbids"),
        ({"headers": [("\xe9", "a")]}, "characters that HTTP forbids"),
        ({"headers": [("a b", "a")]}, "characters that HTTP forbids"),
        ({"headers": [("", "a")]}, "characters that HTTP forbids"),
    ],
)
def test_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Config(**options)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="timeout_keepalive"):
        Server(lambda scope, receive, send: None, timeout_keepalive=5)


def test_own_fields_take_the_place_of_ours() -> None:
    config = Config(headers=[("Server", "x"), ("DATE", "y")])
    assert config.server_name() == b""
    assert not config.date()
