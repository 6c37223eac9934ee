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
