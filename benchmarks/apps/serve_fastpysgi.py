"""Starts fastpysgi: ``serve_fastpysgi.py PORT module:app [setting=number ...]``.

Its command line cannot set what its server object can (``loop_timeout``, ``tcp_nodelay``
and others), hence this program.
"""

from __future__ import annotations

import importlib
import sys

import fastpysgi


def main(arguments: list[str]) -> None:
    """Serves until a signal ends the process."""
    port, target, *settings = arguments
    for setting in settings:
        name, _, number = setting.partition("=")
        if not hasattr(fastpysgi.server, name):
            raise SystemExit(f"fastpysgi has no setting {name!r}")
        setattr(fastpysgi.server, name, int(number))
    module, _, attribute = target.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    fastpysgi.server.init(app, "127.0.0.1", int(port), fastpysgi.LL_FATAL_ERROR)
    fastpysgi.server.run()


if __name__ == "__main__":
    main(sys.argv[1:])
