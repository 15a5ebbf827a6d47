"""Envelopes of 50 findings from 16 clients at once: key check, tracking and commit included."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from pathlib import Path

import httpx
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
    """Requests a second, the 99th percentile in seconds, and how many were not a 201."""
    times: list[float] = []
    failures = 0
    end = time.perf_counter() + seconds
    headers = {"Authorization": f"Bearer {hub.key}", "Content-Type": "application/json"}

    async def client(number: int) -> None:
        nonlocal failures
        envelope = msgspec.json.encode(
            {
                "type": "analysis-results",
                "data": b64encode(body).decode(),
                "compressed": True,
                "metadata": {"projectName": f"small-{number}"},
            }
        )
        async with httpx.AsyncClient(
            base_url=hub.url, headers=headers, timeout=30, trust_env=False
        ) as session:
            while (start := time.perf_counter()) < end:
                answer = await session.post("/api/v1/upload/insight", content=envelope)
                times.append(time.perf_counter() - start)
                failures += answer.status_code != 201

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return len(times) / seconds, sorted(times)[int(len(times) * 0.99)], failures
