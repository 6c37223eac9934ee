"""The loads, and the requests whose answers are compared before them."""

from __future__ import annotations

from collections.abc import Sequence

from fabench.model import Family, Request, Workload

APPLICATIONS = {
    Family.RAW: "raw_asgi:app",
    Family.FASTAPI: "fastapi_app:app",
    Family.UPLOAD: "transfer_asgi:app",
    Family.FILE: "transfer_asgi:app",
}

RAW_REQUEST = Request("/")

_ITEM = (
    '{"id":7,"name":"Lamp","price":19.5,"tags":["light","desk"],'
    '"maker":{"name":"Lumen","country":"DE"}}'
)

FASTAPI_REQUESTS: dict[str, tuple[str, Request]] = {
    "plain": ("async, no parameter", Request("/plain")),
    "query": ("path and two query parameters", Request("/items/42?q=lamp&limit=5")),
    "model": ("model out", Request("/model")),
    "echo": ("model in, model out", Request("/echo", "POST", _ITEM)),
    "depends": ("graph of dependencies", Request("/depends?page=3")),
    "sync": ("def handler", Request("/sync")),
    "text": ("PlainTextResponse", Request("/text")),
    "file": ("FileResponse, 9 KB", Request("/file")),
}


def _raw_workloads() -> list[Workload]:
    loads = [
        Workload(f"raw-c{n}", f"raw JSON, {n} connections", Family.RAW, RAW_REQUEST, n)
        for n in (1, 64, 512)
    ]
    title = "raw JSON, 64 connections, pipelined 16 deep"
    loads.append(Workload("raw-p16", title, Family.RAW, RAW_REQUEST, 64, 16))
    return loads


def _fastapi_workloads() -> list[Workload]:
    loads = [
        Workload(f"fastapi-{key}", f"FastAPI {title}, 64 connections", Family.FASTAPI, request, 64)
        for key, (title, request) in FASTAPI_REQUESTS.items()
    ]
    plain = FASTAPI_REQUESTS["plain"][1]
    loads += [
        Workload(
            f"fastapi-plain-c{n}",
            f"FastAPI async, no parameter, {n} connections",
            Family.FASTAPI,
            plain,
            n,
        )
        for n in (1, 512)
    ]
    return loads


WORKLOADS: tuple[Workload, ...] = (*_raw_workloads(), *_fastapi_workloads())

SPECIAL_SCENARIOS: dict[str, str] = {
    "idle": "idle keep-alive connections",
    "resets": "clients that reset",
    "upload": "large upload to a slow handler",
    "sendfile": "large file",
    "router": "router, C benchmark, 500 routes of a public API",
    "import": "time to import",
}


def scenario_keys() -> list[str]:
    """Every name ``--only`` knows."""
    return [load.key for load in WORKLOADS] + list(SPECIAL_SCENARIOS)


def requests_to_check(family: Family) -> Sequence[Request]:
    """The requests whose answers a contender of the family must get right."""
    if family is Family.RAW:
        return [RAW_REQUEST]
    if family is Family.FASTAPI:
        return [request for _, request in FASTAPI_REQUESTS.values()]
    return []
