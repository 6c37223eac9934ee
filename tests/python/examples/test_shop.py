"""The example shop behind a real server, as its page and its customers use it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from shop.main import app

from fasterapi.testing import LiveServer


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A customer of a shop that has just opened, with its first stock."""
    monkeypatch.setenv("SHOP_DATABASE", str(tmp_path / "shop.sqlite3"))
    with (
        LiveServer(app, lifespan="on") as server,
        httpx.Client(base_url=server.base_url, timeout=20) as client,
    ):
        yield client
        server.settle()
        assert server.take_exception() is None


def product(client: httpx.Client, name: str) -> dict[str, Any]:
    """The product of that name, as it is now."""
    found = client.get("/products", params={"search": name}).json()
    (only,) = (each for each in found if each["name"] == name)
    assert isinstance(only, dict)
    return only


def basket(customer: str, *lines: tuple[int, int]) -> dict[str, Any]:
    """An order of (product, quantity) pairs."""
    return {
        "customer": customer,
        "lines": [{"product_id": number, "quantity": quantity} for number, quantity in lines],
    }


def test_the_page(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Tea shop</title>" in answer.text
    assert client.get("/health").json() == {"status": "open"}


def test_the_list_is_by_name_and_limited(client: httpx.Client) -> None:
    names = [each["name"] for each in client.get("/products").json()]
    assert names == ["Green tea", "Honey", "Kettle", "Mug", "Teapot"]
    limited = client.get("/products", params={"limit": 2}).json()
    assert [each["name"] for each in limited] == names[:2]


def test_the_search_ignores_case_and_finds_parts(client: httpx.Client) -> None:
    found = client.get("/products", params={"search": "TEA"}).json()
    assert [each["name"] for each in found] == ["Green tea", "Teapot"]
    assert client.get("/products", params={"search": "coffee"}).json() == []


def test_an_order_is_kept_and_taken_from_stock(client: httpx.Client) -> None:
    mug, honey = product(client, "Mug"), product(client, "Honey")
    # One product on two lines is one line of the order.
    answer = client.post(
        "/orders", json=basket("Ada", (mug["id"], 2), (honey["id"], 1), (mug["id"], 1))
    )
    assert answer.status_code == 201
    order = answer.json()
    assert order["customer"] == "Ada"
    assert order["total_cents"] == 3 * mug["price_cents"] + honey["price_cents"]
    assert sorted((line["product_id"], line["quantity"]) for line in order["lines"]) == sorted(
        [(mug["id"], 3), (honey["id"], 1)]
    )
    assert client.get(f"/orders/{order['id']}").json() == order
    assert product(client, "Mug")["stock"] == mug["stock"] - 3
    assert client.get(f"/products/{honey['id']}").json()["stock"] == honey["stock"] - 1


def test_what_is_not_there(client: httpx.Client) -> None:
    answer = client.get("/products/99")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no product 99."})
    answer = client.get("/orders/1")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no order 1."})
    mug = product(client, "Mug")
    answer = client.post("/orders", json=basket("Ada", (mug["id"], 1), (99, 1)))
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no product 99."})
    assert product(client, "Mug") == mug


def test_an_order_beyond_the_stock_changes_nothing(client: httpx.Client) -> None:
    mug, kettle = product(client, "Mug"), product(client, "Kettle")
    # The first line alone could be had; it must not be booked either.
    answer = client.post("/orders", json=basket("Ada", (mug["id"], 1), (kettle["id"], 6)))
    assert (answer.status_code, answer.json()) == (409, {"detail": "Only 5 of Kettle left."})
    assert product(client, "Mug") == mug
    assert product(client, "Kettle") == kettle
    assert client.get("/orders/1").status_code == 404


def test_the_last_piece_goes_to_one_of_many(client: httpx.Client) -> None:
    buyers = 16
    kettle = product(client, "Kettle")
    left_over = basket("Ada", (kettle["id"], kettle["stock"] - 1))
    assert client.post("/orders", json=left_over).status_code == 201
    together = threading.Barrier(buyers)

    def buy(number: int) -> int:
        with httpx.Client(base_url=client.base_url, timeout=20) as buyer:
            buyer.get("/health")  # connected, so that the orders meet
            together.wait(20)
            return buyer.post(
                "/orders", json=basket(f"Buyer {number}", (kettle["id"], 1))
            ).status_code

    with ThreadPoolExecutor(buyers) as pool:
        answers = sorted(pool.map(buy, range(buyers)))
    assert answers == [201] + [409] * (buyers - 1)
    assert product(client, "Kettle")["stock"] == 0
    in_stock = client.get("/products", params={"in_stock": True}).json()
    assert "Kettle" not in [each["name"] for each in in_stock]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"customer": "", "lines": [{"product_id": 1, "quantity": 1}]}, ["body", "customer"]),
        ({"customer": "Ada", "lines": []}, ["body", "lines"]),
        (basket("Ada", (1, 0)), ["body", "lines", 0, "quantity"]),
        (basket("Ada", (1, 101)), ["body", "lines", 0, "quantity"]),
        ({"lines": [{"product_id": 1, "quantity": 1}]}, ["body", "customer"]),
    ],
)
def test_an_order_that_makes_no_sense(
    client: httpx.Client, wrong: dict[str, Any], where: list[Any]
) -> None:
    answer = client.post("/orders", json=wrong)
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == where
    assert client.get("/orders/1").status_code == 404


def test_queries_that_make_no_sense(client: httpx.Client) -> None:
    assert client.get("/products", params={"limit": 0}).status_code == 422
    assert client.get("/products", params={"search": "x" * 51}).status_code == 422
    assert client.get("/products/first").status_code == 422
