"""Envelopes of 50 findings from 16 clients at once: key check, tracking and commit included."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from benchmarks.corpus import results_of_size
from benchmarks.hub import RunningHub, compressed
from benchmarks.table import Figure, Row, Table

CLIENTS = 16
SECONDS = 10
WARM_UP_SECONDS = 3


def run(table: Table, hub: RunningHub, corpus: Path) -> None:
    body = compressed(msgspec.json.encode(results_of_size(corpus, 50)))
    asyncio.run(_load(hub, body, WARM_UP_SECONDS))
    rate, slowest, failures = asyncio.run(_load(hub, body, SECONDS))
    table.add(
        Row(
            "envelopes of 50 findings, 16 clients",
            Figure((rate,), "/s"),
            "≥ 400 /s",
            400,
            at_least=True,
        )
    )
    table.add(Row("their p99", Figure((slowest,)), "< 150 ms", 0.150))
    table.add(Row("of them failed", Figure((failures,), ""), "none", 0))


async def _load(hub: RunningHub, body: bytes, seconds: float) -> tuple[float, float, int]:
    """Requests a second, the 99th percentile in seconds, and how many were not a 201.

    Written on bare sockets: an HTTP library would cost as much as the hub does, on its cores.
    """
    address = urlsplit(hub.url)
    times: list[float] = []
    failures = 0
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal failures
        request = _request(hub, body, f"small-{number}")
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (start := time.perf_counter()) < end:
            writer.write(request)
            failures += await _status(reader) != 201
            times.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return len(times) / seconds, sorted(times)[int(len(times) * 0.99)], failures


def _request(hub: RunningHub, body: bytes, project: str) -> bytes:
    envelope = msgspec.json.encode(
        {
            "type": "analysis-results",
            "data": b64encode(body).decode(),
            "compressed": True,
            "metadata": {"projectName": project},
        }
    )
    head = (
        "POST /api/v1/upload/insight HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {hub.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(envelope)}\r\n\r\n"
    )
    return head.encode() + envelope


async def _status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])
