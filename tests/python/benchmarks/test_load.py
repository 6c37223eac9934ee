"""What wrk is told and what it says."""

from __future__ import annotations

import pytest

from fabench import load
from fabench.errors import ContenderFailed
from fabench.model import Family, Request, Workload

OUTPUT = """Running 1s test @ http://127.0.0.1:41000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   419.20us   80.01us   2.11ms   81.09%
Requests/sec: 150000.00

FABENCH {"requests":165000,"duration_us":1100000,"bytes":9000000,"p50_us":410,"p99_us":650,\
"max_us":2110,"connect":0,"read":2,"write":0,"status":0,"timeout":3}
"""
LOAD = Workload("k", "t", Family.RAW, Request("/a?b=1"), 64)


def test_result_line() -> None:
    result = load.parse_wrk(OUTPUT)
    assert result.requests == 165000
    assert result.rps == pytest.approx(150000)
    assert (result.p50_us, result.p99_us, result.max_us) == (410, 650, 2110)
    assert result.complaints() == (
        "2 connections broken while reading",
        "3 requests unanswered for 2 s",
    )


def test_no_result_is_a_failure_with_the_output() -> None:
    with pytest.raises(ContenderFailed, match="unable to connect"):
        load.parse_wrk("unable to connect to 127.0.0.1:1 Connection refused")


def test_command() -> None:
    command = load.wrk_command("/usr/bin/wrk", 41000, LOAD, 3)
    assert command[0] == "/usr/bin/wrk"
    assert command[-1] == "http://127.0.0.1:41000/a?b=1"
    assert {"--threads=1", "--connections=64", "--duration=3s"} <= set(command)
