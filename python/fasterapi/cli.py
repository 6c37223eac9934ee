"""The ``fasterapi`` command. ``fasterapi run module:app`` serves an application.

Options carry uvicorn's names where uvicorn has them. A wrong option is one sentence and
status 2; a server that cannot start is status 3, as with uvicorn.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["main"]

_TLS_FLAGS = (
    "--ssl-keyfile",
    "--ssl-certfile",
    "--ssl-keyfile-password",
    "--ssl-version",
    "--ssl-cert-reqs",
    "--ssl-ca-certs",
    "--ssl-ciphers",
)
_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ``arguments`` default to those of the process."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    command = options.pop("command")
    if command is None:
        parser.print_help()
        parser.exit(2)
    _run(parser, options)


def _run(parser: argparse.ArgumentParser, options: dict[str, Any]) -> None:
    from fasterapi._run import TLS_SENTENCE, run

    app = options.pop("app")
    if any(options.pop(_destination(flag)) is not None for flag in _TLS_FLAGS):
        parser.error(TLS_SENTENCE)
    # Absent options stay absent, so that their defaults live in one place.
    given = {name: value for name, value in options.items() if value is not None}
    try:
        run(app, **given)
    except ValueError as exc:
        # An option's value; the user's own ValueError has its module in the traceback.
        if not _is_option_error(exc):
            raise
        parser.error(str(exc))


def _is_option_error(exc: ValueError) -> bool:
    """Whether the error came from reading options rather than from the user's code."""
    from fasterapi import _config, _logging, _run

    ours = {_config.__file__, _logging.__file__, _run.__file__}
    frame = exc.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code.co_filename in ours


def _destination(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fasterapi",
        description="Serve FastAPI and other ASGI applications from C.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print what is built in")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser("run", help="serve an application")
    run.add_argument("--version", action=_Version, nargs=0, help="print what is built in")
    _add_run_options(run)
    return parser


def _add_run_options(run: argparse.ArgumentParser) -> None:
    run.add_argument("app", help='the application, as "module:attribute"')
    _add_address_options(run.add_argument_group("where to listen"))
    _add_application_options(run.add_argument_group("the application"))
    _add_log_options(run.add_argument_group("logging"))
    _add_limit_options(run.add_argument_group("limits"))
    http = run.add_argument_group("HTTP")
    _switch(http, "--server-header", 'send "server"')
    _switch(http, "--date-header", 'send "date"')
    http.add_argument(
        "--header", dest="headers", action="append", type=_header, metavar="NAME:VALUE",
        help="a field for every response; may be repeated",
    )  # fmt: skip
    _switch(http, "--proxy-headers", "believe X-Forwarded-* from trusted addresses")
    http.add_argument("--forwarded-allow-ips", metavar="LIST", help="addresses that are trusted")
    tls = run.add_argument_group("TLS (not built in yet)")
    for flag in _TLS_FLAGS:
        tls.add_argument(flag, help=argparse.SUPPRESS)


def _add_address_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", help="name or address (127.0.0.1)")
    group.add_argument("--port", type=_port, help="port, 0 for any free one (8000)")
    group.add_argument("--uds", metavar="PATH", help="a Unix socket instead")
    group.add_argument("--fd", type=_natural, help="an inherited listening descriptor instead")
    group.add_argument("--backlog", type=_positive, help="connections the kernel queues (2048)")
    group.add_argument(
        "--workers",
        type=_positive,
        help="processes on one listener (WEB_CONCURRENCY or 1)",
    )


def _add_application_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--app-dir", metavar="DIR", help="folder to import from (the current one)")
    group.add_argument(
        "--factory",
        action="store_true",
        default=None,
        help="the attribute is a factory",
    )
    group.add_argument("--root-path", metavar="PATH", help="ASGI root_path behind a proxy")
    group.add_argument("--lifespan", choices=("auto", "on", "off"), help="lifespan protocol (auto)")
    group.add_argument(
        "--task-impl",
        choices=("native", "asyncio"),
        help="what drives handlers (native)",
    )
    group.add_argument(
        "--spin-us", type=_natural, metavar="US",
        help="microseconds to poll before sleeping: latency for CPU (0)",
    )  # fmt: skip


def _add_log_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--log-level", choices=_LEVELS, help="(info)")
    group.add_argument("--log-config", metavar="FILE", help="logging configuration, .json or .ini")
    _switch(group, "--access-log", "one line for each request")
    _switch(group, "--use-colors", "coloured log")


def _add_limit_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--limits", choices=("default", "strict"), help="preset (default)")
    for flag, read, metavar, text in _LIMITS:
        group.add_argument(flag, type=read, metavar=metavar, help=text)


def _switch(group: argparse._ArgumentGroup, flag: str, text: str) -> None:
    group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number') from None


def _port(text: str) -> int:
    number = _integer(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port (0 to 65535)")
    return number


def _natural(text: str) -> int:
    number = _integer(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _positive(text: str) -> int:
    number = _integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds')
    return number


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError(f'"{text}" is not NAME:VALUE')
    return name, value.strip()


# Flag, how it is read, what its number counts, and its help with the default of the preset.
_LIMITS: tuple[tuple[str, Callable[[str], float], str, str], ...] = (
    ("--limit-body", _natural, "BYTES", "request body, 0 for none, then 413 (1 GiB)"),
    ("--limit-body-rate", _natural, "BYTES", "least per second of a body, then 408 (none)"),
    ("--limit-body-buffer", _positive, "BYTES", "body held unread, then it waits (256 KiB)"),
    ("--limit-concurrency", _positive, "N", "requests in flight, then 503 (none)"),
    ("--limit-connections", _positive, "N", "open connections, then 503 (by descriptors)"),
    ("--limit-header-bytes", _positive, "BYTES", "header section, then 431 (64 KiB)"),
    ("--limit-header-fields", _positive, "N", "header fields, then 431 (256)"),
    ("--limit-request-line", _positive, "BYTES", "request line, then 414 (64 KiB)"),
    ("--limit-write-high-water", _positive, "BYTES", "answer held, then send() waits (64 KiB)"),
    ("--limit-write-low-water", _positive, "BYTES", "below it send() goes on (16 KiB)"),
    ("--limit-pipeline-burst", _positive, "N", "requests of one connection in a turn (32)"),
    ("--limit-requests-per-connection", _natural, "N", "then it is closed (none)"),
    ("--limit-max-requests", _positive, "N", "requests, then the process ends (none)"),
    ("--limit-max-requests-jitter", _natural, "N", "up to so many more, by chance (0)"),
    ("--timeout-keep-alive", _seconds, "S", "idle seconds, then it is closed (15)"),
    ("--timeout-header", _seconds, "S", "seconds for a header section, then 408 (30)"),
    ("--timeout-body", _seconds, "S", "seconds without a byte of a body, then 408 (30)"),
    ("--timeout-write", _seconds, "S", "seconds without a byte taken of an answer (60)"),
    ("--timeout-graceful-shutdown", _seconds, "S", "seconds to drain (30)"),
)


class _Version(argparse.Action):
    """Prints versions and compiled-in features, then exits."""

    def __call__(self, parser: argparse.ArgumentParser, *args: object, **kwargs: object) -> None:
        from fasterapi import _native

        parser.exit(
            message=f"fasterapi {_native.version()} "
            f"({platform.python_implementation()} {platform.python_version()}, "
            f"{platform.system()} {platform.machine()})\n"
            f"built in: {_native.features()}\n"
        )
