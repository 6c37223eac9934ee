"""Placing and reading orders."""

from __future__ import annotations

import sqlite3
from collections import Counter

from .models import NewOrder, Order, OrderLine


class OutOfStock(Exception):
    """Fewer pieces are left than were asked for."""


class UnknownProduct(Exception):
    """No product has that number."""


def place(db: sqlite3.Connection, new: NewOrder) -> Order:
    """Book every line and take it from stock, or change nothing at all.

    Raises ``UnknownProduct`` or ``OutOfStock``.
    """
    wanted = Counter[int]()
    for line in new.lines:
        wanted[line.product_id] += line.quantity
    # IMMEDIATE takes the write lock first: two customers cannot both read the last piece.
    db.execute("BEGIN IMMEDIATE")
    try:
        order_id = _insert(db, new.customer, wanted)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    found = read(db, order_id)
    assert found is not None
    return found


def _insert(db: sqlite3.Connection, customer: str, wanted: Counter[int]) -> int:
    order_id = db.execute("INSERT INTO orders (customer) VALUES (?)", (customer,)).lastrowid
    assert order_id is not None
    for product_id, quantity in wanted.items():
        row = db.execute("SELECT * FROM product WHERE id = ?", (product_id,)).fetchone()
        if row is None:
            raise UnknownProduct(f"There is no product {product_id}.")
        if row["stock"] < quantity:
            raise OutOfStock(f"Only {row['stock']} of {row['name']} left.")
        db.execute("UPDATE product SET stock = stock - ? WHERE id = ?", (quantity, product_id))
        db.execute(
            "INSERT INTO order_line VALUES (?, ?, ?, ?)",
            (order_id, product_id, quantity, row["price_cents"]),
        )
    return order_id


def read(db: sqlite3.Connection, order_id: int) -> Order | None:
    """The order with that number, or None."""
    head = db.execute("SELECT * FROM orders WHERE id = ?", (order_id,)).fetchone()
    if head is None:
        return None
    rows = db.execute(
        "SELECT * FROM order_line WHERE order_id = ? ORDER BY product_id", (order_id,)
    ).fetchall()
    return Order(
        **dict(head),
        lines=[OrderLine(product_id=r["product_id"], quantity=r["quantity"]) for r in rows],
        total_cents=sum(r["quantity"] * r["price_cents"] for r in rows),
    )
