"""The shop's application: an ordinary FastAPI program, nothing in it knows its server."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse

from . import orders
from .database import Database
from .models import NewOrder, Order, Product

PAGE = Path(__file__).with_name("page.html")


def database_path() -> Path:
    """Where the shop keeps its data: ``SHOP_DATABASE``, or a file among the temporary ones."""
    default = Path(tempfile.gettempdir()) / f"fasterapi-shop-{os.getuid()}.sqlite3"
    return Path(os.environ.get("SHOP_DATABASE") or default)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the database before the first request."""
    app.state.database = Database(database_path())
    app.state.database.create()
    yield


app = FastAPI(title="Tea shop", lifespan=lifespan)


def session(request: Request) -> Iterator[sqlite3.Connection]:
    """One database connection for each request."""
    yield from request.app.state.database.session()


Session = Annotated[sqlite3.Connection, Depends(session)]


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return FileResponse(PAGE, media_type="text/html")


@app.get("/health")
async def health() -> dict[str, str]:
    """Whether the shop is open."""
    return {"status": "open"}


@app.get("/products")
def list_products(
    db: Session,
    search: Annotated[str, Query(max_length=50)] = "",
    in_stock: bool = False,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[Product]:
    """What is for sale, by name."""
    rows = db.execute(
        "SELECT * FROM product WHERE name LIKE ? AND stock >= ? ORDER BY name LIMIT ?",
        (f"%{search}%", int(in_stock), limit),
    )
    return [Product(**dict(row)) for row in rows]


@app.get("/products/{product_id}")
def get_product(product_id: int, db: Session) -> Product:
    """One product."""
    row = db.execute("SELECT * FROM product WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        raise HTTPException(404, f"There is no product {product_id}.")
    return Product(**dict(row))


@app.post("/orders", status_code=201)
def place_order(new: NewOrder, db: Session) -> Order:
    """Buy: everything in the order, or nothing."""
    try:
        return orders.place(db, new)
    except orders.UnknownProduct as exc:
        raise HTTPException(404, str(exc)) from None
    except orders.OutOfStock as exc:
        raise HTTPException(409, str(exc)) from None


@app.get("/orders/{order_id}")
def get_order(order_id: int, db: Session) -> Order:
    """An order that was placed."""
    order = orders.read(db, order_id)
    if order is None:
        raise HTTPException(404, f"There is no order {order_id}.")
    return order
