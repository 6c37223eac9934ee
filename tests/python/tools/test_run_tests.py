"""The counts of a run: nothing that failed, crashed or never ran may be counted as passed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import run_tests
from run_tests import Counts


def line(result: str, stdout: str = "") -> str:
    return json.dumps({"name": "x", "result": result, "stdout": stdout})


@pytest.mark.parametrize(
    ("log", "counts"),
    [
        (line("OK", "ok   a\n3 passed, 0 failed\n"), Counts(3, 0, 0)),
        (line("FAIL", "FAIL a\n3 passed, 2 failed\n"), Counts(3, 2, 0)),
        # A program whose tests passed and that then crashed, as under a sanitizer.
        (line("FAIL", "3 passed, 0 failed\n"), Counts(3, 1, 0)),
        (line("TIMEOUT", ""), Counts(0, 1, 0)),
        (line("ERROR", ""), Counts(0, 1, 0)),
        (line("OK", "no closing line"), Counts(1, 0, 0)),
        (line("SKIP", ""), Counts(0, 0, 1)),
        (line("OK", "1 passed, 0 failed\n") + "\n" + line("FAIL"), Counts(1, 1, 0)),
    ],
)
def test_counting_the_c_tests(log: str, counts: Counts) -> None:
    assert run_tests.count_meson_log(log) == counts


@pytest.mark.parametrize(
    ("xml", "counts"),
    [
        (
            '<testsuites><testsuite tests="9" failures="2" errors="1" skipped="1"/></testsuites>',
            Counts(5, 3, 1),
        ),
        ('<testsuites><testsuite tests="0"/></testsuites>', Counts(0, 1, 0)),
        ("<testsuites", Counts(0, 1, 0)),
    ],
)
def test_counting_the_python_suite(tmp_path: Path, xml: str, counts: Counts) -> None:
    record = tmp_path / "record.xml"
    record.write_text(xml)
    assert run_tests.count_junit(record) == counts


def test_a_suite_that_left_no_record_failed(tmp_path: Path) -> None:
    assert run_tests.count_junit(tmp_path / "none.xml") == Counts(0, 1, 0)
