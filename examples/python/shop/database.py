"""The shop's SQLite database: schema, first stock, one connection for each request."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS product (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents > 0),
    stock INTEGER NOT NULL CHECK (stock >= 0)
);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY,
    customer TEXT NOT NULL,
    placed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);
CREATE TABLE IF NOT EXISTS order_line (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    product_id INTEGER NOT NULL REFERENCES product (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    price_cents INTEGER NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
"""

FIRST_STOCK = [
    ("Teapot", "Stoneware, holds 0.9 litres. Not for brewing coffee.", 3900, 12),
    ("Mug", "Fits the teapot. Dishwasher proof.", 1250, 40),
    ("Green tea", "100 g of loose leaves, spring harvest.", 890, 60),
    ("Kettle", "Gooseneck, with a thermometer in the lid.", 5400, 5),
    ("Honey", "From the hives behind the shop, 250 g.", 720, 25),
]


class Database:
    """Opens connections to one SQLite file. Safe to use from several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> sqlite3.Connection:
        """A new connection; rows behave like dictionaries, transactions are explicit."""
        # A dependency and its handler may run on different threads, one after the other.
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection

    def create(self) -> None:
        """Create the tables and, in an empty shop, the first stock."""
        connection = self.connect()
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
            connection.executemany(
                "INSERT OR IGNORE INTO product (name, description, price_cents, stock)"
                " VALUES (?, ?, ?, ?)",
                FIRST_STOCK,
            )
        finally:
            connection.close()

    def session(self) -> Iterator[sqlite3.Connection]:
        """A connection for one request, closed after it."""
        connection = self.connect()
        try:
            yield connection
        finally:
            connection.close()
