"""Options of ``fasterapi run``: each arrives at the server, each wrong value is one sentence."""

from __future__ import annotations

import copy
import json
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from fasterapi._logging import LOGGING_CONFIG
from fasterapi.cli import main
from surface.command import Command

Run = Callable[..., Command]

# Flag and value, the field of struct fa_limits and what it must be.
LIMITS = [
    ("--limit-body", "70001", "body_bytes", 70001),
    ("--limit-body-rate", "70002", "body_min_rate", 70002),
    ("--limit-body-buffer", "70003", "body_buffer_bytes", 70003),
    ("--limit-concurrency", "70004", "requests_in_flight", 70004),
    ("--limit-connections", "5", "connections", 5),
    ("--limit-header-bytes", "70006", "header_bytes", 70006),
    ("--limit-header-fields", "107", "header_fields", 107),
    ("--limit-request-line", "70008", "request_line_bytes", 70008),
    ("--limit-write-high-water", "70009", "write_high_water", 70009),
    ("--limit-write-low-water", "7010", "write_low_water", 7010),
    ("--limit-pipeline-burst", "7011", "pipeline_burst", 7011),
    ("--limit-requests-per-connection", "7012", "requests_per_connection", 7012),
    ("--timeout-keep-alive", "71.5", "keep_alive_ms", 71500),
    ("--timeout-header", "72", "header_timeout_ms", 72000),
    ("--timeout-body", "73", "body_timeout_ms", 73000),
    ("--timeout-write", "0.25", "write_timeout_ms", 250),
]


def limits_of(command: Command) -> dict[str, int]:
    """The limits in force, as the server tells them in its log."""
    line = command.read_until(r"Limits: ([^\n]+)\n").group(1)
    return {name: int(value) for name, value in (part.split("=") for part in line.split())}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_limit_has_a_flag_that_reaches_the_server(run: Run, workers: str) -> None:
    flags = [word for flag, value, _, _ in LIMITS for word in (flag, value)]
    common = ("--port", "0", "--log-level", "debug", "--workers", workers)
    limits = limits_of(run("run", "hello:app", *common, *flags))
    assert limits == {field: value for _, _, field, value in LIMITS}


def test_the_preset_and_an_exception_from_it(run: Run) -> None:
    command = run(
        "run", "hello:app", "--port", "0", "--log-level", "debug",
        "--limits", "strict", "--limit-header-fields", "99",
    )  # fmt: skip
    limits = limits_of(command)
    assert (limits["body_bytes"], limits["header_fields"]) == (1 << 20, 99)
    with socket.create_connection(("127.0.0.1", command.port()), 20) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 413 ")


def test_jitter_is_added_to_the_most_requests(run: Run) -> None:
    # That the one request of the limit ends the process is less likely than a broken machine.
    jitter = ("--limit-max-requests-jitter", "1000000000")
    command = run("run", "hello:app", "--port", "0", "--limit-max-requests", "1", *jitter)
    url = f"http://127.0.0.1:{command.port()}/"
    assert [httpx.get(url).status_code for _ in range(3)] == [200] * 3


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence about wrong options, and nothing but the usage before it."""
    with pytest.raises(SystemExit) as ended:
        main(["run", "hello:app", "--port", "0", *arguments])
    assert ended.value.code == 2
    usage, _, sentence = capsys.readouterr().err.partition("fasterapi run: error: ")
    assert usage.startswith("usage: ")
    return sentence.strip()


@pytest.mark.parametrize("flag", [*(flag for flag, *_ in LIMITS), "--limit-max-requests-jitter"])
def test_what_is_no_number_is_one_sentence(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    kind = "number of seconds" if flag.startswith("--timeout") else "whole number"
    assert said(capsys, flag, "many") == f'argument {flag}: "many" is not a {kind}'
    assert said(capsys, f"{flag}=-1").startswith(f"argument {flag}: ")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--limit-header-bytes", "3"), "limit_header_bytes must be between 256 and 16777216"),
        (("--limit-body-buffer", "9"), "limit_body_buffer must be between 1024 and 2147483647"),
        (("--limit-write-low-water", "70000"), "limit_write_low_water must not be above"),
        (("--timeout-write", "1e9"), "timeout_write is no time in seconds: 1000000000.0"),
        (("--header", "a b: c"), "header 'a b' has characters that HTTP forbids"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    run: Run, workers: str, arguments: tuple[str, ...], sentence: str
) -> None:
    command = run("run", "hello:app", "--port", "0", "--workers", workers, *arguments)
    assert command.finish() == 2
    assert f"fasterapi: error: {sentence}" in command.output
    assert "Traceback" not in command.output


def test_fields_for_every_response(run: Run) -> None:
    fields = ("--header", "X-Shop: cheese", "--header", "x-empty:")
    command = run("run", "hello:app", "--port", "0", *fields)
    answer = httpx.get(f"http://127.0.0.1:{command.port()}/")
    assert (answer.headers["x-shop"], answer.headers["x-empty"]) == ("cheese", "")


def test_an_inherited_descriptor(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        command = run("run", "hello:app", "--fd", str(fd), pass_fds=(fd,))
        command.read_until(rf"running on socket {fd} ")
    assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
    command.signal(signal.SIGINT)
    assert command.finish() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_descriptor_that_is_none(run: Run, workers: str) -> None:
    command = run("run", "hello:app", "--fd", "77", "--workers", workers)
    assert command.finish() == 3
    assert "file descriptor 77 is no socket: Bad file descriptor" in command.output
    assert "Traceback" not in command.output


# ---- the environment ---------------------------------------------------------------------------


def test_the_environment_asks_for_workers(run: Run) -> None:
    command = run("run", "hello:app", "--port", "0", WEB_CONCURRENCY="2")
    command.port()
    command.read_until(r"(?s)Started parent process.*(Started server process.*){2}")
    alone = run("run", "hello:app", "--port", "0", "--workers", "1", WEB_CONCURRENCY="2")
    alone.port()
    assert "Started parent process" not in alone.output


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("many", 'WEB_CONCURRENCY must be a number, not "many"'),
        ("0", "workers must be at least 1, not 0"),
    ],
)
def test_an_environment_that_makes_no_sense(run: Run, value: str, sentence: str) -> None:
    command = run("run", "hello:app", "--port", "0", WEB_CONCURRENCY=value)
    assert command.finish() == 2
    assert sentence in command.output
    assert "Traceback" not in command.output


# ---- logging -----------------------------------------------------------------------------------

INI = """
[loggers]
keys = root
[handlers]
keys = out
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = out
[handler_out]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = from-a-file %(message)s
"""


def test_a_logging_configuration_from_a_file(run: Run, folder: Path) -> None:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["formatters"]["default"]["fmt"] = "from-a-file %(message)s"
    (folder / "log.json").write_text(json.dumps(config))
    (folder / "log.ini").write_text(INI)
    for name in ("log.json", "log.ini"):
        command = run("run", "hello:app", "--port", "0", "--log-config", name)
        command.read_until(r"from-a-file FasterAPI running on http://")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.json", None),
        ("none.ini", None),
        ("broken.json", "{"),
        ("wrong.json", '{"version": 2}'),
        ("list.json", "[]"),
        ("broken.ini", "loggers"),
        ("empty.ini", ""),
        ("wrong.ini", INI.replace("StreamHandler", "NoSuchHandler")),
    ],
)
def test_a_logging_configuration_that_cannot_be_used(
    run: Run, folder: Path, name: str, content: str | None
) -> None:
    if content is not None:
        (folder / name).write_text(content)
    command = run("run", "hello:app", "--port", "0", "--log-config", name)
    assert command.finish() == 2
    assert re.search(rf"cannot use the logging configuration {name}: ", command.output)
    assert "Traceback" not in command.output
