# SPDX-License-Identifier: MIT
"""Builds and runs the C examples as a C programmer would: from an installed library.

Installs the build folder into an empty folder, builds with the Makefile and pkg-config
alone, starts each server on a port that the system chooses, talks to it over a socket and
ends it with a signal; runs the other programs and reads what they print. Called by
`meson test`; exits non-zero with one sentence per failure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

PATIENCE_S = 20.0
HERE = Path(__file__).resolve().parent


def install(build: Path, stage: Path) -> dict[str, str]:
    """Installs into `stage` and returns the environment that makes it visible."""
    meson = shutil.which("meson")
    if meson is None:
        raise SystemExit("meson is not on the PATH")
    subprocess.run(
        [meson, "install", "-C", str(build), "--no-rebuild", "--tags", "devel"],
        env={**os.environ, "DESTDIR": str(stage)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    found = next(stage.rglob("fasterapi.pc"), None)
    library = next(stage.rglob("libfasterapi.so.0"), None)
    if found is None or library is None:
        raise SystemExit("the installation has no pkg-config file or no shared library")
    return {
        **os.environ,
        "PKG_CONFIG_SYSROOT_DIR": str(stage),
        "PKG_CONFIG_PATH": str(found.parent),
        "LD_LIBRARY_PATH": str(library.parent),
    }


def start(program: Path, env: dict[str, str]) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([str(program), "0"], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, int(line.rsplit(":", 1)[1])


def ask(port: int, request: str) -> str:
    """One request on a connection of its own; everything that comes until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        sock.sendall(request.replace("\n", "\r\n").encode())
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    return answer.decode()


def get(port: int, target: str, method: str = "GET") -> str:
    return ask(port, f"{method} {target} HTTP/1.1\nHost: localhost\nConnection: close\n\n")


def check(what: str, answer: str, *parts: str) -> int:
    missing = [part for part in parts if part not in answer]
    for part in missing:
        print(f"{what}: {part!r} is not in {answer!r}")
    return len(missing)


def check_hello(port: int) -> int:
    return check(
        "hello",
        get(port, "/"),
        "HTTP/1.1 200 OK\r\ndate: ",
        "\r\nserver: fasterapi\r\ncontent-type: application/json\r\ncontent-length: 27\r\n",
        '\r\n\r\n{"message":"Hello, World!"}',
    )


def check_routed(port: int) -> int:
    echo = "POST /echo HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 5\n\nhello"
    chunked = (
        "POST /echo HTTP/1.1\nHost: a\nConnection: close\nTransfer-Encoding: chunked\n\n"
        "3\nabc\n2\nde\n0\n\n"
    )
    return (
        check("root", get(port, "/"), "HTTP/1.1 200 ", "Try /users/42")
        + check("user", get(port, "/users/42"), "HTTP/1.1 200 ", "\r\n\r\nuser 42\n")
        + check("user", get(port, "/users/x"), "HTTP/1.1 422 ")
        + check("file", get(port, "/files/a/b.txt"), "HTTP/1.1 200 ", "\r\n\r\na/b.txt")
        + check("echo", ask(port, echo), "HTTP/1.1 200 ", "\r\n\r\nhello")
        + check("chunked echo", ask(port, chunked), "HTTP/1.1 200 ", "\r\n\r\nabcde")
        + check("404", get(port, "/nothing"), "HTTP/1.1 404 Not Found\r\n")
        + check("405", get(port, "/echo", "DELETE"), "HTTP/1.1 405 ", "\r\nallow: POST\r\n")
    )


def check_futures(program: Path, env: dict[str, str]) -> int:
    done = subprocess.run(
        [str(program)], env=env, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False
    )
    if done.returncode != 0:
        print(f"futures: exit status {done.returncode}")
        return 1
    expected = (
        "hung up\nno rating: the time limit has passed\nstock 36, price 25, rating 3\nworth 900\n"
    )
    if done.stdout != expected:
        print(f"futures: printed {done.stdout!r}")
    return done.stdout != expected


def finish(name: str, process: subprocess.Popen[str], port: int, signum: int) -> int:
    """An idle keep-alive connection must not hold up the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        idle.recv(65536)
        process.send_signal(signum)
        code = process.wait(PATIENCE_S)
    if code != 0:
        print(f"{name}: exit status {code} after {signal.Signals(signum).name}")
    return code != 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--cflags", default="-O2 -g -Wall -Wextra -Werror")
    args = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        stage, work = Path(folder, "stage"), Path(folder, "work")
        env = install(args.build.resolve(), stage)
        work.mkdir()
        for name in ("Makefile", "futures.c", "hello.c", "routed.c"):
            shutil.copy(HERE / name, work)
        subprocess.run(["make", "-s", f"CFLAGS={args.cflags}"], cwd=work, env=env, check=True)
        failures += check_futures(work / "futures", env)
        for name, talk, signum in (
            ("hello", check_hello, signal.SIGINT),
            ("routed", check_routed, signal.SIGTERM),
        ):
            process, port = start(work / name, env)
            try:
                failures += talk(port)
                failures += finish(name, process, port, signum)
            finally:
                process.kill()
                process.wait()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
