"""What the server's log looks like on a terminal, and how it is switched on.

Two loggers: ``fasterapi`` (life cycle, errors; standard error) and ``fasterapi.access`` (one
line a request; standard output). The access record carries its parts as ``args``:
``(client_addr, method, full_path, http_version, status_code)``, as uvicorn's does, so that
formatters written for uvicorn work.
"""

from __future__ import annotations

import copy
import http
import json
import logging
import logging.config
import os
import sys
from typing import Any, Literal

__all__ = [
    "LOGGING_CONFIG",
    "LOG_LEVELS",
    "AccessFormatter",
    "DefaultFormatter",
    "configure_logging",
]

TRACE = 5

LOG_LEVELS: dict[str, int] = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE,
}

_LEVEL_COLOURS = {
    TRACE: 34,
    logging.DEBUG: 36,
    logging.INFO: 32,
    logging.WARNING: 33,
    logging.ERROR: 31,
    logging.CRITICAL: 91,
}
_STATUS_COLOURS = {1: 97, 2: 32, 3: 33, 4: 31, 5: 91}


def _paint(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


class DefaultFormatter(logging.Formatter):
    """Adds ``%(levelprefix)s`` ("INFO:     "), coloured on a terminal."""

    stream_name = "stderr"

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        use_colors: bool | None = None,
    ) -> None:
        if use_colors is None:
            stream = getattr(sys, self.stream_name, None)
            use_colors = stream is not None and stream.isatty()
        self.use_colors = use_colors
        super().__init__(fmt=fmt, datefmt=datefmt, style=style)

    def formatMessage(self, record: logging.LogRecord) -> str:
        shown = copy.copy(record)
        name = shown.levelname
        padding = " " * (8 - len(name))
        if self.use_colors:
            name = _paint(name, _LEVEL_COLOURS.get(shown.levelno, 0))
        shown.__dict__["levelprefix"] = f"{name}:{padding}"
        return super().formatMessage(shown)


class AccessFormatter(DefaultFormatter):
    """Adds ``client_addr``, ``request_line`` and ``status_code`` with its phrase."""

    stream_name = "stdout"

    def formatMessage(self, record: logging.LogRecord) -> str:
        shown = copy.copy(record)
        args = shown.args
        if isinstance(args, tuple) and len(args) == 5:
            client_addr, method, full_path, http_version, status = args
            line = f"{method} {full_path} HTTP/{http_version}"
            shown.__dict__.update(
                client_addr=client_addr,
                request_line=_paint(line, 1) if self.use_colors else line,
                status_code=self._status(int(str(status))),
            )
        return super().formatMessage(shown)

    def _status(self, status: int) -> str:
        try:
            phrase = http.HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        text = f"{status} {phrase}"
        colour = _STATUS_COLOURS.get(status // 100)
        return _paint(text, colour) if self.use_colors and colour is not None else text


LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {
            "()": "fasterapi._logging.DefaultFormatter",
            "fmt": "%(levelprefix)s %(message)s",
            "use_colors": None,
        },
        "access": {
            "()": "fasterapi._logging.AccessFormatter",
            "fmt": '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s',
            "use_colors": None,
        },
    },
    "handlers": {
        "default": {
            "formatter": "default",
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
        },
        "access": {
            "formatter": "access",
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
        },
    },
    "loggers": {
        "fasterapi": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "fasterapi.access": {
            "handlers": ["access"],
            "level": "INFO",
            "propagate": False,
        },
    },
}


def configure_logging(
    log_config: dict[str, Any] | str | os.PathLike[str] | None,
    *,
    log_level: str | int | None = None,
    access_log: bool = True,
    use_colors: bool | None = None,
) -> None:
    """Install a logging configuration for the server's two loggers.

    ``log_config`` is a ``dictConfig`` dictionary, the path of a ``.json`` file with one, the
    path of a ``fileConfig`` file, or None to leave logging alone. ``log_level`` (a name of
    :data:`LOG_LEVELS` or a number) then sets both loggers; ``access_log=False`` silences the
    access logger. Raises ``ValueError`` for an unknown level name and for a configuration file
    that cannot be used.
    """
    logging.addLevelName(TRACE, "TRACE")
    if log_config is not None:
        _apply(log_config, use_colors)
    if log_level is not None:
        level = _level(log_level)
        logging.getLogger("fasterapi").setLevel(level)
        logging.getLogger("fasterapi.access").setLevel(level)
    if not access_log:
        access = logging.getLogger("fasterapi.access")
        access.handlers = []
        access.propagate = False


def _level(log_level: str | int) -> int:
    if isinstance(log_level, int):
        return log_level
    try:
        return LOG_LEVELS[log_level.lower()]
    except KeyError:
        names = ", ".join(LOG_LEVELS)
        raise ValueError(f'unknown log level "{log_level}"; it is one of {names}') from None


def _apply(log_config: dict[str, Any] | str | os.PathLike[str], use_colors: bool | None) -> None:
    if isinstance(log_config, dict):
        if use_colors is not None:
            log_config = copy.deepcopy(log_config)
            for formatter in log_config.get("formatters", {}).values():
                if "use_colors" in formatter:
                    formatter["use_colors"] = use_colors
        logging.config.dictConfig(log_config)
        return
    path = os.fspath(log_config)
    try:
        _apply_file(path)
    except Exception as exc:
        # logging.config imports and calls what the file names: anything may come out of it.
        reason = exc.strerror if isinstance(exc, OSError) else f"{type(exc).__name__}: {exc}"
        raise ValueError(f"cannot use the logging configuration {path}: {reason}") from exc


def _apply_file(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        if path.endswith(".json"):
            logging.config.dictConfig(json.load(file))
        else:
            logging.config.fileConfig(file, disable_existing_loggers=False)
