"""A small shop: FastAPI, SQLite and one page. `fasterapi run shop.main:app` serves it."""
