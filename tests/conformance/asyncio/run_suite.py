"""Runs CPython's own test.test_asyncio on fasterapi.Loop, in a process of its own.

    python run_suite.py REPORT.json [--stock] [-v] [TEST ...]

Every way to a new event loop leads to ``fasterapi.Loop``: the default policy (and with it
``new_event_loop()``, ``run()`` and ``Runner``) and the name ``SelectorEventLoop`` in each module
that shows it. A test that brings a selector of the operating system gets the reactor instead.
``--stock`` changes nothing: it tells what the interpreter's own loop does on this machine.

The report says which tests ran, which of them made a Loop on the reactor, and what failed.
Tests written against the Task class run on ours too, and tests of the loop on a Loop with a
foreign selector; see extra_suite.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
import sys
import traceback
import unittest
from typing import Any

import extra_suite

from fasterapi.loop import Loop


class Report(unittest.TextTestResult):
    """A result that keeps, by test id, what the parent process wants to know."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.current = ""
        self.ran: set[str] = set()
        self.on_loop: set[str] = set()
        self.skipped_ids: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        self.current = test.id()
        self.ran.add(self.current)
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:
        self.current = ""
        super().stopTest(test)

    def _fail(self, test: Any, err: Any) -> None:
        # A subtest counts for its test, a failed fixture for its class or module.
        name = getattr(test, "test_case", test).id()
        self.failed[name] = "".join(traceback.format_exception(*err))

    def addError(self, test: Any, err: Any) -> None:
        self._fail(test, err)
        super().addError(test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._fail(test, err)
        super().addFailure(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._fail(test, err)
        super().addSubTest(test, subtest, err)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.failed[test.id()] = "unexpected success"
        super().addUnexpectedSuccess(test)

    def addSkip(self, test: Any, reason: str) -> None:
        self.skipped_ids[test.id()] = reason
        super().addSkip(test, reason)


class Runner(unittest.TextTestRunner):
    """A text runner whose result is within reach of the loops under test."""

    resultclass = Report
    report: Report

    def _makeResult(self) -> Report:
        report = super()._makeResult()
        assert isinstance(report, Report)
        Runner.report = report
        return report


_SYSTEM_SELECTORS = (selectors.EpollSelector, selectors.PollSelector, selectors.SelectSelector)


class SuiteLoop(Loop):
    """fasterapi.Loop, noting which test made it."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        if isinstance(selector, _SYSTEM_SELECTORS):
            selector.close()
            selector = None
        super().__init__(selector)
        if self.reactor is not None:
            Runner.report.on_loop.add(Runner.report.current)


def replace_loops() -> None:
    """Make every way to a new selector loop lead to SuiteLoop."""
    stock = asyncio.SelectorEventLoop
    asyncio.unix_events._UnixDefaultEventLoopPolicy._loop_factory = SuiteLoop  # type: ignore
    for module in list(sys.modules.values()):
        names = vars(module) if getattr(module, "__name__", "").startswith("asyncio") else {}
        for name, value in list(names.items()):
            if value is stock and name != "_UnixSelectorEventLoop":
                setattr(module, name, SuiteLoop)


def load(names: list[str]) -> unittest.TestSuite:
    """The tests called `names`, or CPython's suite and ours on top of it."""
    loader = unittest.TestLoader()
    if names:
        return loader.loadTestsFromNames(names)
    suite = unittest.TestSuite()
    suite.addTests(loader.loadTestsFromName("test.test_asyncio"))
    suite.addTests(loader.loadTestsFromModule(extra_suite))
    return suite


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("report")
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    if not options.stock:
        replace_loops()
    suite = load(options.tests)
    Runner(verbosity=2 if options.verbose else 1).run(suite)
    report = Runner.report
    with open(options.report, "w") as file:
        json.dump(
            {
                "python": sys.version,
                "ran": sorted(report.ran),
                "on_loop": sorted(report.on_loop & report.ran),
                "skipped": report.skipped_ids,
                "failed": report.failed,
            },
            file,
            indent=1,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
