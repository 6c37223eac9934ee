"""One worker process of a supervisor: ``python -m fasterapi._worker CONTROL LISTENER...``.

The arguments are inherited descriptors. CONTROL is a socket to the supervisor: one line of
JSON comes in, ``ready`` goes out once the server serves, ``retire`` comes in when it is to drain
while others serve on, and end of file means that the supervisor is gone and the worker must drain.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from typing import Any

from fasterapi._logging import configure_logging
from fasterapi._run import load, serve
from fasterapi.server import Server

__all__ = ["main"]


def main() -> None:
    """Serve with the settings that come over the control socket; see the module."""
    # Ctrl-C reaches the whole process group; what it means is the supervisor's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    sockets = [socket.socket(fileno=int(number)) for number in sys.argv[2:]]
    for sock in sockets:
        sock.set_inheritable(False)
    settings = _read_settings(control)
    sys.path[:] = settings["sys_path"]
    configure_logging(**settings["log"])
    app = load(settings["app"], app_dir=settings["app_dir"], factory=settings["factory"])
    server = Server(app, sockets=sockets, **settings["server"])
    server.shares_listener = True
    serve(server, _serve(server, control))


def _read_settings(control: socket.socket) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        chunk = control.recv(65536)
        if not chunk:
            sys.exit(0)  # the supervisor is gone already
        data += chunk
    settings: dict[str, Any] = json.loads(data)
    return settings


async def _serve(server: Server, control: socket.socket) -> None:
    control.setblocking(False)
    loop = asyncio.get_running_loop()

    def on_control() -> None:
        try:
            said = control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if b"retire\n" in said:
            server.retire()
        elif not said:
            loop.remove_reader(control)
            server.should_exit = True

    def on_started() -> None:
        try:
            control.send(b"ready\n")
        except OSError:
            server.should_exit = True

    loop.add_reader(control, on_control)
    try:
        await server.serve(on_started=on_started)
    finally:
        loop.remove_reader(control)
        control.close()


if __name__ == "__main__":
    main()
