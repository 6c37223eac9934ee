"""Who is compared, and how each is started at its best.

The configuration of each peer was found by running ``runner.py --tune``, which measures
the variants at the end of this list beside it. What that showed is said at each peer.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabench.errors import BenchError
from fabench.model import Family, Role
from fabench.toolchain import APPS, Toolchain
from fabench.workloads import APPLICATIONS

_ASGI = frozenset(Family)
_RAW_ONLY = frozenset({Family.RAW})
_KEEP_ALIVE_S = 600  # longer than any scenario
_OPEN_CONNECTIONS = 16384  # more than any scenario opens


@dataclass(frozen=True, slots=True)
class Launch:
    """What a command line is made from."""

    port: int
    family: Family
    tools: Toolchain
    file: Path | None = None  # for Family.FILE

    @property
    def app(self) -> str:
        """The application as ``module:attribute``."""
        return APPLICATIONS[self.family]

    def module(self, name: str, *arguments: str) -> list[str]:
        """``python -m name arguments``."""
        return [str(self.tools.python), "-m", name, *arguments]

    def script(self, name: str, *arguments: str) -> list[str]:
        """A program of benchmarks/apps."""
        return [str(self.tools.python), str(APPS / name), *arguments]


@dataclass(frozen=True, slots=True)
class Contender:
    """One line of the comparison."""

    name: str
    title: str
    role: Role
    families: frozenset[Family]
    command: Callable[[Launch], list[str]]
    distributions: tuple[str, ...] = ()  # what must be installed
    program: str = ""  # what must be built, below the build folder
    only: frozenset[str] = frozenset()  # scenarios, when not all of its families
    variant: bool = False  # shown on demand

    def takes_part(self, scenario: str, family: Family) -> bool:
        """Whether it has a place in the scenario."""
        return family in self.families and (not self.only or scenario in self.only)

    def missing(self, tools: Toolchain) -> str | None:
        """What must be installed or built before it can start; None when nothing."""
        absent = [name for name in self.distributions if name not in tools.versions]
        if absent:
            return f"{', '.join(absent)} not installed in {tools.python.parent.parent}"
        if self.program and not (tools.build / self.program).exists():
            return f"{tools.build / self.program} not built"
        return None


def _program(path: str) -> Callable[[Launch], list[str]]:
    return lambda launch: [str(launch.tools.build / path), str(launch.port)]


def _limit_sendfile(launch: Launch) -> list[str]:
    program = launch.tools.build / "benchmarks/c/limit_sendfile"
    return [str(program), str(launch.port), str(launch.file)]


def _fasterapi(*options: str) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        return launch.module(
            "fasterapi", "run", launch.app,
            "--host", "127.0.0.1", "--port", str(launch.port),
            "--log-level", "warning", "--no-access-log",
            "--timeout-keep-alive", str(_KEEP_ALIVE_S),
            *options,
        )  # fmt: skip

    return command


def _uvicorn(loop: str, parser: str, *options: str) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        return launch.module(
            "uvicorn", launch.app,
            "--host", "127.0.0.1", "--port", str(launch.port),
            "--loop", loop, "--http", parser, "--ws", "none",
            "--log-level", "warning", "--no-access-log",
            "--timeout-keep-alive", str(_KEEP_ALIVE_S),
            *options,
        )  # fmt: skip

    return command


def _granian(interface: str, loop: str, mode: str, *options: str) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        return launch.module(
            "granian", launch.app,
            "--host", "127.0.0.1", "--port", str(launch.port),
            "--interface", interface, "--loop", loop, "--runtime-mode", mode,
            "--http", "1", "--no-ws", "--no-log",
            # Its back-pressure counts connections: at its default of 1024 it would serve
            # no more of them.
            "--backlog", str(_OPEN_CONNECTIONS), "--backpressure", str(_OPEN_CONNECTIONS),
            *options,
        )  # fmt: skip

    return command


def _fastpysgi(*settings: str) -> Callable[[Launch], list[str]]:
    # At its default of 10 MB it would refuse the upload.
    body = f"max_content_length={1 << 30}"

    def command(launch: Launch) -> list[str]:
        return launch.script("serve_fastpysgi.py", str(launch.port), launch.app, body, *settings)

    return command


def _socketify_asgi(launch: Launch) -> list[str]:
    return launch.module(
        "socketify", launch.app,
        "--host", "127.0.0.1", "--port", str(launch.port),
        "--ws", "none", "--disable-listen-log", "true",
    )  # fmt: skip


def _socketify_api(way: str) -> Callable[[Launch], list[str]]:
    return lambda launch: launch.script("serve_socketify.py", str(launch.port), way)


_OURS = (
    Contender(
        "c-hello", "libfasterapi, JSON hello in C", Role.OURS, _RAW_ONLY,
        _program("benchmarks/c/hello"), program="benchmarks/c/hello",
    ),
    Contender(
        "fasterapi", "fasterapi run", Role.OURS, _ASGI, _fasterapi(), ("fasterapi-native",)
    ),
    Contender(
        "fasterapi-asyncio", "fasterapi run --task-impl asyncio", Role.OURS,
        frozenset({Family.RAW, Family.FASTAPI}),
        _fasterapi("--task-impl", "asyncio"), ("fasterapi-native",),
    ),
    Contender(
        "fasterapi-spin", "fasterapi run --spin-us 100", Role.OURS, _RAW_ONLY,
        _fasterapi("--spin-us", "100"), ("fasterapi-native",),
        only=frozenset({"raw-c1"}),
    ),
)  # fmt: skip

_LIMITS = (
    Contender(
        "limit", "constant answer, C and epoll", Role.LIMIT, _RAW_ONLY,
        _program("benchmarks/c/limit_epoll"), program="benchmarks/c/limit_epoll",
    ),
    Contender(
        "limit-sendfile", "sendfile in C", Role.LIMIT, frozenset({Family.FILE}),
        _limit_sendfile, program="benchmarks/c/limit_sendfile",
    ),
)  # fmt: skip

_PEERS = (
    Contender(
        "uvicorn", "uvicorn, uvloop, httptools", Role.PEER, _ASGI,
        _uvicorn("uvloop", "httptools", "--no-proxy-headers"),
        ("uvicorn", "uvloop", "httptools"),
    ),
    Contender(
        "granian", "granian, uvloop", Role.PEER, _ASGI,
        _granian("asgi", "uvloop", "st"), ("granian", "uvloop"),
    ),
    Contender(
        "fastpysgi", "fastpysgi", Role.PEER, _ASGI, _fastpysgi("tcp_nodelay=1"), ("fastpysgi",)
    ),
    Contender("socketify", "socketify, ASGI", Role.PEER, _ASGI, _socketify_asgi, ("socketify",)),
    Contender(
        "socketify-api", "socketify, its own API", Role.PEER, _RAW_ONLY,
        _socketify_api("sync"), ("socketify",),
    ),
)  # fmt: skip


def _variant(name: str, command: Callable[[Launch], list[str]], *needs: str) -> Contender:
    families = frozenset({Family.RAW, Family.FASTAPI})
    return Contender(name, name, Role.PEER, families, command, needs, variant=True)


_VARIANTS = (
    _variant("uvicorn-proxy", _uvicorn("uvloop", "httptools"), "uvicorn", "uvloop"),
    _variant("uvicorn-zttp", _uvicorn("uvloop", "zttp", "--no-proxy-headers"), "uvicorn", "zttp"),
    _variant("uvicorn-h11", _uvicorn("uvloop", "h11", "--no-proxy-headers"), "uvicorn", "h11"),
    _variant("uvicorn-asyncio", _uvicorn("asyncio", "httptools", "--no-proxy-headers"), "uvicorn"),
    _variant("granian-mt", _granian("asgi", "uvloop", "mt"), "granian", "uvloop"),
    _variant("granian-rloop", _granian("asgi", "rloop", "st"), "granian", "rloop"),
    _variant("granian-rloop-mt", _granian("asgi", "rloop", "mt"), "granian", "rloop"),
    _variant("granian-asyncio", _granian("asgi", "asyncio", "st"), "granian"),
    _variant("granian-asginl", _granian("asginl", "uvloop", "st"), "granian", "uvloop"),
    _variant(
        "granian-rusttask", _granian("asgi", "uvloop", "st", "--task-impl", "rust"), "granian"
    ),
    _variant(
        "granian-flush",
        _granian("asgi", "uvloop", "st", "--http1-pipeline-flush"),
        "granian",
    ),
    _variant("fastpysgi-nagle", _fastpysgi("tcp_nodelay=0"), "fastpysgi"),
    _variant("fastpysgi-relax0", _fastpysgi("tcp_nodelay=1", "loop_timeout=0"), "fastpysgi"),
    _variant("fastpysgi-relax10", _fastpysgi("tcp_nodelay=1", "loop_timeout=10"), "fastpysgi"),
    Contender(
        "socketify-api-async", "socketify, its own API, async", Role.PEER, _RAW_ONLY,
        _socketify_api("async"), ("socketify",), variant=True,
    ),
)  # fmt: skip

CONTENDERS: tuple[Contender, ...] = (*_LIMITS, *_OURS, *_PEERS, *_VARIANTS)


def by_name(name: str) -> Contender | None:
    """The contender of that name."""
    return next((entry for entry in CONTENDERS if entry.name == name), None)


def choose(patterns: Sequence[str]) -> list[Contender]:
    """The contenders that the patterns name (``fnmatch``), or the roles ``limit``, ``ours``,
    ``peers``; none means all but the variants. Raises BenchError for a pattern that fits
    nothing."""
    if not patterns:
        return [entry for entry in CONTENDERS if not entry.variant]
    roles = {"ours": Role.OURS, "peers": Role.PEER}
    chosen: dict[str, Contender] = {}
    for pattern in patterns:
        if pattern in roles:
            fitting = [e for e in CONTENDERS if e.role is roles[pattern] and not e.variant]
        else:
            fitting = [e for e in CONTENDERS if fnmatch.fnmatchcase(e.name, pattern)]
        if not fitting:
            names = ", ".join(entry.name for entry in CONTENDERS)
            raise BenchError(f"no contender fits {pattern!r}; there are: {names}, ours, peers")
        chosen.update((entry.name, entry) for entry in fitting)
    return [entry for entry in CONTENDERS if entry.name in chosen]
