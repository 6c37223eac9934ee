"""An ordinary FastAPI application: one route for each kind of work that users write.

Nothing here knows which server runs it. Every answer is the same for every request, so
that the answers of two servers can be compared byte by byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import BaseModel, Field

app = FastAPI()

FILE = Path(__file__).with_name("page.html")


class Maker(BaseModel):
    """Who makes an item."""

    name: str
    country: str = Field(min_length=2, max_length=2)


class Item(BaseModel):
    """What the model routes take and give."""

    id: int = Field(ge=0)
    name: str = Field(max_length=80)
    price: float
    tags: list[str] = []
    maker: Maker | None = None


@app.get("/plain")
async def plain() -> dict[str, str]:
    """No parameter, a dict."""
    return {"message": "Hello, World!"}


@app.get("/items/{item_id}")
async def query(item_id: int, q: str | None = None, limit: int = 10) -> dict[str, object]:
    """A path parameter and two of the query."""
    return {"item_id": item_id, "q": q, "limit": limit}


@app.get("/model")
async def model() -> Item:
    """A model out."""
    return Item(
        id=7,
        name="Lamp",
        price=19.5,
        tags=["light", "desk"],
        maker=Maker(name="Lumen", country="DE"),
    )


@app.post("/echo")
async def echo(item: Item) -> Item:
    """A model in and the same model out."""
    return item


async def settings() -> dict[str, int]:
    """The leaf of the dependency graph, used by two others: run once per request."""
    return {"page_size": 20}


async def page(config: Annotated[dict[str, int], Depends(settings)], page: int = 1) -> int:
    """The first row of a page."""
    return (page - 1) * config["page_size"]


class Session:
    """A class as a dependency."""

    def __init__(self, config: Annotated[dict[str, int], Depends(settings)]) -> None:
        self.size = config["page_size"]


@app.get("/depends")
async def depends(
    first: Annotated[int, Depends(page)], session: Annotated[Session, Depends()]
) -> dict[str, int]:
    """A graph of three dependencies with a shared leaf; one is a class, so a thread hop."""
    return {"first": first, "size": session.size}


@app.get("/sync")
def sync() -> dict[str, str]:
    """A ``def`` handler: FastAPI runs it on a thread."""
    return {"message": "Hello, World!"}


@app.get("/text", response_class=PlainTextResponse)
async def text() -> PlainTextResponse:
    """A response object of the handler's own."""
    return PlainTextResponse("Hello, World!")


@app.get("/file")
async def file() -> FileResponse:
    """A small file from the disk."""
    return FileResponse(FILE, media_type="text/html")
