"""The command line."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import fnmatch
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fabench import idle, imports, install, report_html, report_text, resets, router, transfer
from fabench.answers import Expected
from fabench.contenders import CONTENDERS, Contender, choose
from fabench.errors import BenchError
from fabench.model import Family, Role, Sample
from fabench.procfs import machine_facts
from fabench.results import Run, read_run, to_json
from fabench.rounds import run_rounds
from fabench.servers import LOAD_CORE, Keeper
from fabench.session import Session
from fabench.settings import FULL, QUICK, STANDARD, Settings
from fabench.smoke import run_smoke
from fabench.tables import role_of
from fabench.toolchain import APPS, BUILD, RESULTS, ROOT, VENV, Toolchain, need_two_cores
from fabench.workloads import SPECIAL_SCENARIOS, WORKLOADS, scenario_keys

_SPECIAL = {
    "idle": idle.run_idle,
    "resets": resets.run_resets,
    "upload": transfer.run_upload,
    "sendfile": transfer.run_sendfile,
    "router": router.run_router,
    "import": imports.run_imports,
}
_TUNED_LOADS = ("raw-c64", "fastapi-plain")


def build_parser() -> argparse.ArgumentParser:
    """Every option."""
    parser = argparse.ArgumentParser(
        prog="runner.py",
        description="Compares FasterAPI with its peers: server on one core, wrk on another, "
        "answers compared before timing, rounds interleaved, medians.",
    )
    profile = parser.add_mutually_exclusive_group()
    profile.add_argument("--quick", action="store_true", help="a few minutes")
    profile.add_argument("--full", action="store_true", help="ten rounds of everything, an hour")
    profile.add_argument(
        "--smoke", action="store_true", help="our contenders answer rightly; no timing"
    )
    profile.add_argument(
        "--tune", action="store_true", help="the peers beside their other configurations"
    )
    profile.add_argument("--report", type=Path, metavar="JSON", help="print a result again")
    profile.add_argument("--list", action="store_true", help="contenders and scenarios")
    parser.add_argument(
        "--setup",
        action="store_true",
        help="install and build first (with --smoke: build the C programs only)",
    )
    parser.add_argument("--only", type=_names, default=(), metavar="A,B", help="these scenarios")
    parser.add_argument(
        "--contenders", type=_names, default=(), metavar="A,B",
        help="these contenders; names with * and ?, or ours, peers",
    )  # fmt: skip
    parser.add_argument("--rounds", type=_positive, metavar="N")
    parser.add_argument("--seconds", type=_positive, metavar="N", help="for each load")
    parser.add_argument("--idle-connections", type=_positive, metavar="N")
    parser.add_argument(
        "--python",
        type=Path,
        help="what the contenders run on: that of .venv-bench, for --smoke the running one",
    )
    parser.add_argument(
        "--build", type=Path, default=BUILD, help="where meson built the C programs"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code: 0, 1 when something of ours failed, 2 when
    something is missing."""
    options = build_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _dispatch(options)
    except BenchError as error:
        print(f"runner.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("runner.py: interrupted", file=sys.stderr)
        return 130


def _dispatch(options: argparse.Namespace) -> int:
    if options.setup and options.smoke:
        install.build_programs(Path(sys.executable).parent)
    elif options.setup:
        install.set_up(_say)
    if options.list:
        _print_list()
        return 0
    if options.report is not None:
        try:
            print(report_text.render_text(read_run(options.report)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchError(f"{options.report} cannot be read: {error}") from None
        return 0
    default = Path(sys.executable) if options.smoke else VENV / "bin/python"
    python: Path = options.python or default
    tools = Toolchain(python=python.absolute(), build=options.build.absolute())
    if options.smoke:
        return _smoke(options, tools)
    return _measure(options, tools)


def _print_list() -> None:
    print("contenders")
    for entry in CONTENDERS:
        families = ", ".join(family.value for family in Family if family in entry.families)
        kind = "variant" if entry.variant else entry.role.value
        print(f"  {entry.name:22} {kind:8} {families:30} {entry.title}")
    print("scenarios")
    for work in WORKLOADS:
        print(f"  {work.key:22} {work.title}")
    for key, title in SPECIAL_SCENARIOS.items():
        print(f"  {key:22} {title}")


def _smoke(options: argparse.Namespace, tools: Toolchain) -> int:
    chosen = choose(options.contenders or ("limit*", "ours"))
    absent = [f"{c.name}: {why}" for c in chosen if (why := c.missing(tools)) is not None]
    if absent:
        raise BenchError("cannot run:\n  " + "\n  ".join(absent))
    with tempfile.TemporaryDirectory(prefix="fabench-") as scratch, Keeper(Path(scratch)) as keeper:
        session = _session(tools, keeper, QUICK, Path(scratch), chosen)
        wrong = run_smoke(session)
    return 1 if wrong else 0


def _measure(options: argparse.Namespace, tools: Toolchain) -> int:
    settings = _settings(options)
    scenarios = _scenarios(options, settings)
    chosen, absent = _present(choose(_patterns(options)), tools)
    tools.need_wrk()
    need_two_cores()
    samples: list[Sample] = []
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    machine = machine_facts()
    interrupted = False
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="fabench-") as scratch, Keeper(Path(scratch)) as keeper:
        session = _session(tools, keeper, settings, Path(scratch), chosen)
        try:
            for sample in _samples(session, scenarios):
                samples.append(sample)
        except KeyboardInterrupt:
            interrupted = True
            _say("interrupted; the report holds what was measured until then")
    run = Run(started, settings, machine, tools.versions, _commit(), samples, absent)
    _save_and_print(run, options.results)
    return 130 if interrupted else _exit_code(run)


def _samples(session: Session, scenarios: frozenset[str]) -> Iterator[Sample]:
    """Everything that is to be measured, in order."""
    yield from run_rounds(session, [work for work in WORKLOADS if work.key in scenarios])
    for key, run_special in _SPECIAL.items():
        if key in scenarios:
            yield from run_special(session)


def _settings(options: argparse.Namespace) -> Settings:
    settings = QUICK if options.quick else FULL if options.full else STANDARD
    if options.tune:
        settings = dataclasses.replace(settings, profile="tune")
    given = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "idle_connections": options.idle_connections,
    }
    return dataclasses.replace(
        settings, **{name: value for name, value in given.items() if value is not None}
    )


def _scenarios(options: argparse.Namespace, settings: Settings) -> frozenset[str]:
    """What ``--only`` names, with ``*`` and ``?``; else what the profile takes."""
    known = scenario_keys()
    if options.only:
        chosen: set[str] = set()
        for pattern in options.only:
            fitting = fnmatch.filter(known, pattern)
            if not fitting:
                raise BenchError(f"no scenario fits {pattern!r}; there are: {', '.join(known)}")
            chosen.update(fitting)
        return frozenset(chosen)
    if options.tune:
        return frozenset(_TUNED_LOADS)
    if settings.loads:
        return settings.loads | SPECIAL_SCENARIOS.keys()
    return frozenset(known)


def _patterns(options: argparse.Namespace) -> tuple[str, ...]:
    if options.tune and not options.contenders:
        return tuple(entry.name for entry in CONTENDERS if entry.role is Role.PEER)
    chosen: tuple[str, ...] = options.contenders
    return chosen


def _present(
    chosen: Sequence[Contender], tools: Toolchain
) -> tuple[list[Contender], dict[str, str]]:
    """Those that can be started, and why the others cannot. Raises BenchError when none
    can."""
    absent = {c.name: why for c in chosen if (why := c.missing(tools)) is not None}
    for name, why in absent.items():
        _say(f"left out: {name}: {why}")
    present = [contender for contender in chosen if contender.name not in absent]
    if not present:
        raise BenchError("nothing to measure; `runner.py --setup` installs and builds")
    return present, absent


def _session(
    tools: Toolchain,
    keeper: Keeper,
    settings: Settings,
    scratch: Path,
    chosen: Sequence[Contender],
) -> Session:
    expected = Expected(tools.python, APPS)
    return Session(tools, keeper, expected, settings, scratch, chosen, _say)


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _save_and_print(run: Run, folder: Path) -> None:
    """Writes the three files under the time of the run, and as ``latest``."""
    folder.mkdir(parents=True, exist_ok=True)
    name = run.started[:19].replace(":", "").replace("-", "")
    text = report_text.render_text(run)
    files = {"json": to_json(run), "txt": text, "html": report_html.render_html(run)}
    for ending, content in files.items():
        for stem in (name, "latest"):
            (folder / f"{stem}.{ending}").write_text(content)
    print(text)
    print(f"written: {folder / name}.txt .json .html")


def _exit_code(run: Run) -> int:
    """1 when a contender of ours failed. A missed target is a finding, not an error."""
    own = [s for s in run.summaries if s.errors and role_of(s.contender) is not Role.PEER]
    return 1 if own else 0


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)
