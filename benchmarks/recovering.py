"""Jobs: how soon they start, and how soon they go on after a killed worker or an emptied Redis."""

from __future__ import annotations

import contextlib
import statistics
import time
from urllib.parse import unquote, urlsplit

import httpx
import msgspec
import psutil
import psycopg2
from redis import Redis

from benchmarks.corpus import Corpus, results_of_size
from benchmarks.hub import RunningHub, compressed, post, send
from benchmarks.ingest import ten_times
from benchmarks.table import Figure, Row, Table

_FINDINGS = 10_000
"""Enough for a job: fewer are taken in within the request."""
_DISPATCHED = 20
_RECOVERY_SECONDS = 75
_REDIS_SECONDS = 35
_MOST_SECONDS = 300


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    findings = msgspec.json.encode(results_of_size(corpus.folder, _FINDINGS))
    body, large = compressed(findings), ten_times(findings)
    with hub.client() as client:
        count = 4 if corpus.is_quick else _DISPATCHED
        for number in range(count):
            send(client, body, projectName=f"jobs-{number}")
        waits = _latest_waits(hub, count)
        p95 = statistics.quantiles(waits, n=20, method="inclusive")[-1]
        table.add(Row(f"job dispatch, p95 of {count}", Figure((p95,)), "≤ 1 s", 1))
        _killed_worker(table, hub, client, large)
        _emptied_redis(table, hub, client, body)


def _latest_waits(hub: RunningHub, count: int) -> list[float]:
    """Seconds from its creation to its start, of each of the latest jobs."""
    connection = psycopg2.connect(hub.database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM started_at - created_at) FROM jobs_job"
            " WHERE started_at IS NOT NULL ORDER BY created_at DESC LIMIT %s",
            [count],
        )
        found = [float(seconds) for (seconds,) in cursor.fetchall()]
    connection.close()
    return found


def _killed_worker(table: Table, hub: RunningHub, client: httpx.Client, body: bytes) -> None:
    name, goal = "recovery after a killed worker", f"≤ {_RECOVERY_SECONDS} s"
    status = post(client, body, projectName="killed").json()["statusUrl"]
    killed = 0
    while not killed and _state(client, status) not in {"completed", "failed"}:
        # Each worker has a parent that starts another; the job that is under way is one of theirs.
        if client.get("/sync/jobs?state=active").raise_for_status().json()["items"]:
            killed = sum(_kill(each) for each in _workers(hub))
    start = time.monotonic()
    if not killed or _state(client, status) == "completed":
        table.not_run(name, goal, "the run was taken in before the kill")
        return
    seconds = _seconds_until_completed(client, status, start)
    table.add(Row(name, Figure((seconds,)), goal, _RECOVERY_SECONDS, is_fixed=True))


def _emptied_redis(table: Table, hub: RunningHub, client: httpx.Client, body: bytes) -> None:
    # Celery spells the address of a socket in a way of its own.
    redis = Redis(unix_socket_path=unquote(urlsplit(hub.redis_url).path))
    redis.flushall()
    start = time.monotonic()
    status = post(client, body, projectName="emptied").json()["statusUrl"]
    redis.flushall()
    seconds = _seconds_until_completed(client, status, start)
    name, goal = "recovery after an emptied Redis", f"≤ {_REDIS_SECONDS} s"
    table.add(Row(name, Figure((seconds,)), goal, _REDIS_SECONDS, is_fixed=True))


def _workers(hub: RunningHub) -> list[psutil.Process]:
    """The processes that run jobs: children of the hub's three workers."""
    found = []
    for parent in psutil.Process(hub.process.pid).children():
        with contextlib.suppress(psutil.Error):
            if parent.name() in {"hub-interactive", "hub-default", "hub-bulk"}:
                found += parent.children()
    return found


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.Error:
        return False
    return True


def _state(client: httpx.Client, status: str) -> str:
    return str(client.get(status).raise_for_status().json()["state"])


def _seconds_until_completed(client: httpx.Client, status: str, start: float) -> float:
    while (state := _state(client, status)) != "completed":
        if state == "failed" or time.monotonic() - start > _MOST_SECONDS:
            raise SystemExit(f"an upload was not taken in: it is {state}")
        time.sleep(0.1)
    return time.monotonic() - start
