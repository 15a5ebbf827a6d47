"""Envelopes of 50 findings from 16 clients at once: key check, tracking and commit included.

Beside Django behind the same server that reads the same body and commits one row.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
import psycopg2

from benchmarks.corpus import Corpus, results_of_size
from benchmarks.hub import RunningHub, compressed, served
from benchmarks.table import Figure, Row, Table

_TABLE = "bare_upload"
CLIENTS = 16
SECONDS = 10
WARM_UP_SECONDS = 3
ROUNDS = 5
"""The two take turns, so that what else the machine does falls on both."""


@dataclass(frozen=True, slots=True)
class _Load:
    rate: float
    slowest: float
    """The 99th percentile, in seconds."""
    failures: int
    """Answers that were not a 201."""


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    body = compressed(msgspec.json.encode(results_of_size(corpus.folder, 50)))
    seconds = SECONDS / (10 if corpus.is_quick else ROUNDS)
    rounds = corpus.runs

    def ours(number: int) -> bytes:
        return _request("/api/v1/upload/insight", hub.key, body, f"small-{number}")

    def bare(number: int) -> bytes:
        return _request("/", "", body, f"small-{number}")

    environment = {"DATABASE_URL": hub.database_url, "BARE_TABLE": _TABLE}
    with _bare_table(hub), served("benchmarks.bare_django", environment) as address:
        sides: tuple[tuple[str, Callable[[int], bytes]], ...] = ((hub.url, ours), (address, bare))
        for url, request in sides:
            asyncio.run(_load(url, request, min(WARM_UP_SECONDS, seconds)))
        loads = [
            [asyncio.run(_load(url, request, seconds)) for url, request in sides]
            for _ in range(rounds)
        ]
    rates, times = (
        [
            Figure(tuple(getattr(each[side], name) for each in loads), unit)
            for side in range(len(sides))
        ]
        for name, unit in (("rate", "/s"), ("slowest", "s"))
    )
    name = f"envelopes of 50 findings, {CLIENTS} clients"
    table.add_ratio(name, rates[0], rates[1], 0.25, at_least=True)
    table.add_ratio("their p99", times[0], times[1], 3)
    failures = Figure((sum(each[0].failures for each in loads),), "")
    table.add(Row("of them failed", failures, "none", 0))


@contextmanager
def _bare_table(hub: RunningHub) -> Iterator[None]:
    """The table of the reference, in the hub's database."""
    _execute(hub, f"CREATE TABLE {_TABLE} (id bigserial PRIMARY KEY, size integer)")
    try:
        yield
    finally:
        _execute(hub, f"DROP TABLE {_TABLE}")


def _execute(hub: RunningHub, statement: str) -> None:
    connection = psycopg2.connect(hub.database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


async def _load(url: str, request: Callable[[int], bytes], seconds: float) -> _Load:
    """What comes of ``request(client's number)``, sent again and again by each client.

    Written on bare sockets: an HTTP library would cost as much as the hub does, on its cores.
    """
    address = urlsplit(url)
    times: list[float] = []
    failures = 0
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal failures
        message = request(number)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (start := time.perf_counter()) < end:
            writer.write(message)
            failures += await _status(reader) != 201
            times.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return _Load(len(times) / seconds, sorted(times)[int(len(times) * 0.99)], failures)


def _request(path: str, key: str, body: bytes, project: str) -> bytes:
    envelope = msgspec.json.encode(
        {
            "type": "analysis-results",
            "data": b64encode(body).decode(),
            "compressed": True,
            "metadata": {"projectName": project},
        }
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(envelope)}\r\n\r\n"
    )
    return head.encode() + envelope


async def _status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])
