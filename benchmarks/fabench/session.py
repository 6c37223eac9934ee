"""What all scenarios share while a run lasts: tools, servers, expectations, progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabench import answers
from fabench.contenders import Contender, Launch
from fabench.errors import ContenderFailed
from fabench.model import Family
from fabench.servers import Keeper, Server, free_port
from fabench.settings import Settings
from fabench.toolchain import Toolchain

_PORT_TRIES = 3


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the harness."""

    tools: Toolchain
    keeper: Keeper
    expected: answers.Expected
    settings: Settings
    scratch: Path
    contenders: Sequence[Contender]
    say: Callable[[str], None]

    def start(self, contender: Contender, family: Family, file: Path | None = None) -> Server:
        """Starts a contender. Raises ContenderFailed."""
        environment = self.tools.environment({"FABENCH_FILE": str(file or "")})
        for left in reversed(range(_PORT_TRIES)):
            port = free_port()
            command = contender.command(Launch(port, family, self.tools, file))
            try:
                return self.keeper.start(command, port, environment)
            except ContenderFailed as error:
                # Somebody else took the port between the look and the start.
                if left == 0 or "in use" not in str(error).lower():
                    raise
        raise AssertionError("unreachable")

    def start_checked(self, contender: Contender, family: Family) -> Server:
        """Starts a contender and compares all its answers. Raises ContenderFailed."""
        server = self.start(contender, family)
        try:
            answers.check(server.port, self.expected.of(family))
        except ContenderFailed:
            self.keeper.stop(server)
            raise
        return server
