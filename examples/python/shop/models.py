"""What the shop's API takes and gives."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Product(BaseModel):
    """Something for sale; the price is in cents."""

    id: int
    name: str
    description: str
    price_cents: int
    stock: int


class OrderLine(BaseModel):
    """How many of one product."""

    product_id: int
    quantity: int = Field(gt=0, le=100)


class NewOrder(BaseModel):
    """What a customer sends to buy."""

    customer: str = Field(min_length=1, max_length=80)
    lines: list[OrderLine] = Field(min_length=1, max_length=20)


class Order(BaseModel):
    """An order as it was placed, with the prices of that moment."""

    id: int
    customer: str
    placed_at: str
    lines: list[OrderLine]
    total_cents: int
