"""Small modules that the command line is tried on, written into a folder of the test."""

from __future__ import annotations

HELLO = """
import asyncio, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            kind = message["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                print("shutdown ran", flush=True)
                return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    body = b"never"
    if scope["path"] == "/hang":
        await asyncio.sleep(3600)
    else:
        body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

class Namespace:
    inner = app

def make():
    return app

not_callable = 3
"""

BROKEN_STARTUP = """
async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    raise LookupError("no database today")
"""

BROKEN_STARTUP_FASTAPI = """
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    raise LookupError("no database today")
    yield

app = FastAPI(lifespan=lifespan)
"""

BROKEN_IMPORT = """
import a_module_that_is_not_there
"""

BROKEN_BODY = """
raise LookupError("import went wrong")
"""

BLOCKED = """
import asyncio, os, sys, threading
from fastapi import FastAPI

app = FastAPI()
kept = []

async def watch():
    try:
        await asyncio.Event().wait()
    finally:
        print("the loop closes", file=sys.stderr, flush=True)

def block():
    print("in the buffer")
    print("blocked in", os.getpid(), file=sys.stderr, flush=True)
    threading.Event().wait(3600)
    print("the thread ended", file=sys.stderr, flush=True)

@app.get("/def")
def route():
    block()

@app.get("/executor")
async def executor():
    kept.append(asyncio.create_task(watch()))
    await asyncio.to_thread(block)
"""

PROGRAM = """
import fasterapi
from hello import app

if __name__ == "__main__":
    fasterapi.run(app, port=0)
    print("behind the server", flush=True)
"""

NOTED = """
import os

with open("pids", "a") as file:
    print(os.getpid(), file=file)

from hello import app
"""

DYING = """
import os, time

with open("starts", "a") as file:
    print(time.monotonic(), file=file)
os._exit(5)
"""

HANGING = """
import asyncio, os, signal

def announce_signals():
    server = signal.getsignal(signal.SIGINT)
    def handler(number, frame):
        server(number, frame)
        print("the server has the signal", flush=True)
    signal.signal(signal.SIGINT, handler)

async def app(scope, receive, send):
    await receive()
    announce_signals()
    if os.environ["HANGS_AT"] == "startup":
        print("the application hangs", flush=True)
        await asyncio.Event().wait()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("the application hangs", flush=True)
    await asyncio.Event().wait()
"""
