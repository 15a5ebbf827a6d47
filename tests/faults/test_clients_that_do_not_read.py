"""Row 20 of what must go wrong without harm: clients that ask for much and do not read."""

from __future__ import annotations

import gzip
import json
import os
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.hub_at_work import HubAtWork, measured, seconds_since
from tests.faults.test_slow_bodies import ENVELOPE

pytestmark = pytest.mark.end_to_end
FOR_EVER = "3600"
"""Seconds of patience with which who is held is held beyond any test."""
SHORT = "3"
LARGE = 20 * 1024 * 1024
DEADLINE = 120


@pytest.fixture(scope="module")
def static() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="odavl-static-") as folder:
        Path(folder, "large.bin").write_bytes(os.urandom(LARGE))
        yield Path(folder)


@pytest.fixture(scope="module")
def hub(static: Path) -> Iterator[HubAtWork]:
    """One that waits for ever, with as few threads as may be."""
    found = HubAtWork(
        WEB_PATIENCE=FOR_EVER, WEB_WORKERS="1", WEB_THREADS="2", STATIC_ROOT=str(static)
    )
    yield found
    found.close()


@pytest.fixture(scope="module")
def impatient(static: Path) -> Iterator[HubAtWork]:
    found = HubAtWork(
        WEB_PATIENCE=SHORT,
        WEB_WORKERS="1",
        WEB_THREADS="2",
        WEB_BACKPRESSURE="64",
        STATIC_ROOT=str(static),
    )
    yield found
    found.close()


def public_file(hub: HubAtWork) -> str:
    body = {"fileName": "a.zip", "contentType": "application/zip", "size": LARGE}
    announced = hub.http.post("/storage/upload-url", json=body | {"access": "PUBLIC"}).json()
    sent = httpx.put(
        announced["uploadUrl"],
        content=os.urandom(LARGE),
        headers=announced["headers"],
        timeout=DEADLINE,
        trust_env=False,
    )
    assert sent.status_code == 201, sent.text
    settled = hub.http.get("/storage/upload-url", params={"fileId": announced["fileId"]})
    assert settled.json()["state"] == "stored"
    address = hub.http.get(f"/storage/public/{announced['fileId']}").headers["Location"]
    return urlsplit(address).path


def payload_of_a_run(hub: HubAtWork) -> str:
    noise = os.urandom(3 * 1024 * 1024).hex()
    document = {"version": 1, "diagnostics": {}, "more": noise}
    sent = hub.upload(gzip.compress(json.dumps(document).encode(), 1), branch="large")
    assert sent.status_code in {201, 202}, sent.text
    if sent.status_code == 202:
        hub.finished(sent.json()["jobId"])
    runs = hub.http.get("/insight/runs", params={"project": "shop"}).json()["items"]
    return f"/api/v1/insight/runs/{runs[0]['id']}/payload"


def events_of_a_job(hub: HubAtWork) -> str:
    jobs = hub.http.get("/sync/jobs").json()["items"]
    if not jobs:
        hub.started(branch="events")
        jobs = hub.http.get("/sync/jobs").json()["items"]
    return f"/api/v1/jobs/{jobs[0]['id']}/events"


KINDS: dict[str, Callable[[HubAtWork], str]] = {
    "public-file": public_file,
    "payload": payload_of_a_run,
    "static-file": lambda _hub: "/static/large.bin",
    "not-streamed": lambda _hub: "/api/schema",
    "events": events_of_a_job,
}


def deaf(hub: HubAtWork, path: str, *, times: int = 1) -> socket.socket:
    """A connection on which is asked, ``times`` times at once, and nothing is read."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.settimeout(DEADLINE)
    line.connect(("127.0.0.1", hub.process.port))
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {hub.key}\r\n\r\n"
    line.sendall(head.encode() * times)
    return line


def has_begun(line: socket.socket) -> None:
    """Its answer is on its way."""
    assert select.select([line], [], [], DEADLINE)[0]


def ask(hub: HubAtWork, path: str) -> httpx.Response:
    return httpx.get(f"{hub.process.url}{path}", timeout=DEADLINE, trust_env=False)


def is_serving(hub: HubAtWork) -> None:
    """Life, readiness, reads and uploads, and how long the slowest of them took."""
    started = time.monotonic()
    assert ask(hub, "/healthz").json() == {"status": "ok"}
    alive = seconds_since(started)
    assert ask(hub, "/readyz").json()["ready"] is True
    assert hub.http.get("/projects", timeout=DEADLINE).status_code == 200
    stored = hub.http.post(
        "/upload/insight",
        content=ENVELOPE,
        headers={"Content-Type": "application/json"},
        timeout=DEADLINE,
    )
    assert stored.status_code == 201, stored.text
    measured(f"/healthz after {alive * 1000:.0f} ms, all after {seconds_since(started):.2f} s")


def are_closed(lines: list[socket.socket]) -> None:
    """The hub gives each of them up."""
    deadline = time.monotonic() + DEADLINE
    for line in lines:
        line.settimeout(max(0.1, deadline - time.monotonic()))
        with suppress(ConnectionError):
            while line.recv(65536):
                pass


def are_reset(hub: HubAtWork, lines: list[socket.socket]) -> None:
    """The kernel has nothing of them any more: what lay there for them is gone."""
    deadline = time.monotonic() + DEADLINE
    poll = select.poll()
    for line in lines:
        poll.register(line, select.POLLHUP | select.POLLERR)
    left = {line.fileno() for line in lines}
    while left:
        assert time.monotonic() < deadline, f"{len(left)} are held\n{hub.process.log()[-2000:]}"
        for number, _ in poll.poll(1000):
            poll.unregister(number)
            left.discard(number)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [30, 64])
def test_row_20_who_does_not_read_keeps_nobody_waiting(
    hub: HubAtWork, kind: str, count: int
) -> None:
    path = KINDS[kind](hub)
    with ExitStack() as opened:
        lines = [opened.enter_context(deaf(hub, path)) for _ in range(count)]
        for line in lines:
            has_begun(line)
        is_serving(hub)


def test_row_20_many_requests_on_one_line_keep_nobody_waiting(hub: HubAtWork) -> None:
    with ExitStack() as opened:
        lines = [opened.enter_context(deaf(hub, "/api/schema", times=20)) for _ in range(64)]
        for line in lines:
            has_begun(line)
        is_serving(hub)


@pytest.mark.parametrize("kind", ["public-file", "payload", "static-file", "not-streamed"])
def test_row_20_who_does_not_read_is_left(impatient: HubAtWork, kind: str) -> None:
    path = KINDS[kind](impatient)
    with ExitStack() as opened:
        lines = [opened.enter_context(deaf(impatient, path, times=4)) for _ in range(8)]
        for line in lines:
            has_begun(line)
        are_reset(impatient, lines)


def test_row_20_a_drip_of_reading_is_no_way_to_stay(impatient: HubAtWork) -> None:
    line = deaf(impatient, public_file(impatient))
    has_begun(line)
    started = time.monotonic()
    with pytest.raises(ConnectionError):
        sip(line, until=started + DEADLINE)
    line.close()


def sip(line: socket.socket, *, until: float) -> None:
    """Read half a KiB now and then."""
    while time.monotonic() < until:
        assert line.recv(512)
        select.select([], [], [], 0.2)


def test_row_20_who_reads_slowly_but_moves_gets_all(impatient: HubAtWork) -> None:
    """For longer than the patience, at several times the least rate."""
    line = deaf(impatient, public_file(impatient))
    started = time.monotonic()
    received = line.recv(65536)
    while seconds_since(started) < 4 * int(SHORT):
        received += line.recv(65536)
        select.select([], [], [], max(0, started + len(received) / 400_000 - time.monotonic()))
    length = LARGE + received.index(b"\r\n\r\n") + 4
    size = len(received)
    while size < length:
        piece = line.recv(1 << 20)
        assert piece, f"cut off after {size} of {length} bytes"
        size += len(piece)
    line.close()


def test_row_20_connections_that_only_lie_open_make_room(impatient: HubAtWork) -> None:
    """More than the hub has places for, of every sort."""
    starts = [b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"]
    with ExitStack() as opened:
        for number in range(600):
            line = opened.enter_context(
                socket.create_connection(("127.0.0.1", impatient.process.port))
            )
            line.sendall(starts[number % len(starts)])
        is_serving(impatient)


def test_row_20_http_2_without_tls_is_refused(hub: HubAtWork) -> None:
    with socket.create_connection(("127.0.0.1", hub.process.port), timeout=DEADLINE) as line:
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        are_closed([line])


def test_row_20_a_database_that_says_nothing_leaves_life_and_readiness(hub: HubAtWork) -> None:
    """It takes connections and does not answer; every thread waits for it."""
    with ThreadPoolExecutor(8) as asking:
        database = [each for each in hub.process.tree() if "postgres" in each.name()]
        assert database
        try:
            for each in database:
                each.send_signal(signal.SIGSTOP)
            waiting = [asking.submit(hub.http.get, "/projects", timeout=DEADLINE) for _ in range(8)]
            for _ in range(3):
                assert ask(hub, "/healthz").status_code == 200
                ready = ask(hub, "/readyz")
                assert (ready.status_code, ready.json()["ready"]) == (503, False)
                whole = ask(hub, "/api/health")
                assert (whole.status_code, whole.json()["status"]) == (503, "down")
        finally:
            for each in database:
                with suppress(Exception):
                    each.send_signal(signal.SIGCONT)
        assert {answer.result().status_code for answer in waiting} == {200}
    is_serving(hub)
