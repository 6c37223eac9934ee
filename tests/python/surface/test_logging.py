"""The two loggers and how they look."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fasterapi._logging import (
    LOGGING_CONFIG,
    AccessFormatter,
    DefaultFormatter,
    configure_logging,
)


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("fasterapi", "fasterapi.access")]
    before = [(logger.level, logger.handlers, logger.propagate) for logger in loggers]
    yield
    for logger, (level, handlers, propagate) in zip(loggers, before, strict=True):
        logger.level, logger.handlers, logger.propagate = level, handlers, propagate


def _record(name: str, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.INFO, __file__, 1, message, args, None)


def test_the_prefix_is_aligned_and_coloured_on_demand() -> None:
    record = _record("fasterapi", "hello")
    plain = DefaultFormatter("%(levelprefix)s %(message)s", use_colors=False)
    assert plain.format(record) == "INFO:     hello"
    coloured = DefaultFormatter("%(levelprefix)s %(message)s", use_colors=True)
    assert coloured.format(record) == "\x1b[32mINFO\x1b[0m:     hello"


def test_an_access_line_looks_like_uvicorns() -> None:
    form = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'
    record = _record(
        "fasterapi.access", '%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/", "1.1", 404
    )
    line = AccessFormatter(form, use_colors=False).format(record)
    assert line == 'INFO:     1.2.3.4:5 - "GET / HTTP/1.1" 404 Not Found'


def test_levels_and_the_switch_of_the_access_log() -> None:
    configure_logging(LOGGING_CONFIG, log_level="warning", access_log=False)
    assert logging.getLogger("fasterapi").level == logging.WARNING
    assert logging.getLogger("fasterapi.access").handlers == []
    with pytest.raises(ValueError, match="unknown log level"):
        configure_logging(None, log_level="loud")


def test_a_configuration_from_a_file(tmp_path: Path) -> None:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["fasterapi"]["level"] = "ERROR"
    path = tmp_path / "log.json"
    path.write_text(json.dumps(config))
    configure_logging(path)
    assert logging.getLogger("fasterapi").level == logging.ERROR


def test_colours_are_set_without_changing_the_callers_dictionary() -> None:
    configure_logging(LOGGING_CONFIG, use_colors=True)
    assert LOGGING_CONFIG["formatters"]["default"]["use_colors"] is None
    (handler,) = logging.getLogger("fasterapi").handlers
    assert isinstance(handler.formatter, DefaultFormatter)
    assert handler.formatter.use_colors
