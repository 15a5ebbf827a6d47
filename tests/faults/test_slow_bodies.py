"""Row 20 of what must go wrong without harm: heads and bodies that arrive slowly, or not at all."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from odavl.wire.encoding import sha256_hex
from tests.faults.hub_at_work import HubAtWork, seconds_since

pytestmark = [pytest.mark.end_to_end]
PATIENCE = 8
"""Seconds that this hub waits for a byte."""
SLACK = 300
"""Seconds that a busy machine may take beside them."""
ENVELOPE = json.dumps(
    {
        "type": "analysis-results",
        "data": "eyJ2ZXJzaW9uIjoxLCJkaWFnbm9zdGljcyI6e319",
        "metadata": {"projectName": "slow", "branch": "main"},
    }
).encode()


@pytest.fixture(scope="module")
def hub() -> Iterator[HubAtWork]:
    found = HubAtWork(WEB_PATIENCE=str(PATIENCE))
    yield found
    found.close()


class Line:
    """One connection on which a request is sent by hand."""

    def __init__(self, hub: HubAtWork, request: str, *headers: str, key: str | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", hub.process.port), timeout=300)
        head = [request, "Host: 127.0.0.1", f"Authorization: Bearer {key or hub.key}", *headers]
        self.socket.sendall("\r\n".join([*head, "", ""]).encode())

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self.socket.sendall(data)

    def drip(self, data: bytes, *, every: float) -> None:
        """One byte after the other until there is an answer."""
        for byte in data:
            answered, _, _ = select.select([self.socket], [], [], every)
            if answered:
                return
            self.send(bytes([byte]))

    def answer(self) -> bytes:
        """What the hub says before it closes the connection."""
        received = b""
        with suppress(ConnectionResetError):
            while not _is_whole(received) and (piece := self.socket.recv(65536)):
                received += piece
        return received


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?mi)^content-length: (\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def is_timed_out(answer: bytes) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408"), answer
    assert b"content-type: application/problem+json" in head.lower()
    problem = json.loads(body)
    assert (problem["code"], problem["retryable"]) == ("request_timeout", True)


def is_serving(hub: HubAtWork) -> None:
    """Reads and uploads are answered."""
    assert hub.http.get("/projects").status_code == 200
    stored = hub.http.post(
        "/upload/insight", content=ENVELOPE, headers={"Content-Type": "application/json"}
    )
    assert stored.status_code == 201, stored.text


def test_row_20_slow_heads_are_cut_off_and_nobody_waits_for_them(hub: HubAtWork) -> None:
    with ExitStack() as opened:
        lines = [
            opened.enter_context(
                socket.create_connection(("127.0.0.1", hub.process.port), timeout=300)
            )
            for _ in range(50)
        ]
        for line in lines:
            line.sendall(b"GET /api/v1/projects HTTP/1.1\r\nX-Slow: a")
        assert hub.http.get("/projects").status_code == 200
        for line in lines:
            with suppress(ConnectionResetError):
                assert line.recv(1000)[:12] in {b"", b"HTTP/1.1 408"}


@pytest.mark.parametrize("key", [None, "nobody"], ids=["with-a-key", "without"])
def test_row_20_slow_bodies_keep_nobody_and_end_with_408(hub: HubAtWork, key: str | None) -> None:
    with ExitStack() as opened:
        lines = [
            Line(
                hub,
                "POST /api/v1/upload/insight HTTP/1.1",
                "Content-Type: application/json",
                "Content-Length: 100000",
                key=key,
            )
            for _ in range(64)
        ]
        for line in lines:
            opened.callback(line.close)
            line.send(b'{"type":')
        sent = time.monotonic()
        for _ in range(5):
            is_serving(hub)
        # As many threads as the hub has are held by nobody: not one time-out lies in between.
        assert seconds_since(sent) < PATIENCE
        for line in lines:
            is_timed_out(line.answer())
        assert seconds_since(sent) < PATIENCE + SLACK
    is_serving(hub)


def test_row_20_a_drip_is_no_way_to_stay(hub: HubAtWork) -> None:
    line = Line(
        hub,
        "POST /api/v1/upload/insight HTTP/1.1",
        "Content-Type: application/json",
        "Content-Length: 100000",
    )
    started = time.monotonic()
    line.drip(b" " * 1_000, every=0.2)
    is_timed_out(line.answer())
    assert seconds_since(started) < PATIENCE + SLACK
    line.close()


def test_row_20_large_bodies_that_stop_give_their_threads_back(hub: HubAtWork) -> None:
    """They are with the view, which has seen the key, when they stop: more than has threads."""
    size = 4 * 1024 * 1024
    chunk = os.urandom(size)
    name = sha256_hex(chunk)
    begun = hub.http.post(
        "/upload/insight/init",
        json={
            "type": "ml-training", "fileName": "x", "size": size, "sha256": name,
            "chunks": [{"sha256": name, "size": size}], "metadata": {"projectName": "slow"},
        },
    )  # fmt: skip
    path = f"/upload/insight/{begun.json()['uploadId']}/chunks/{name}"
    with ExitStack() as opened:
        lines = [
            Line(
                hub,
                f"PUT /api/v1{path} HTTP/1.1",
                "Content-Type: application/octet-stream",
                f"Content-Length: {size}",
            )
            for _ in range(12)
        ]
        for line in lines:
            opened.callback(line.close)
            line.send(chunk[: size // 4])
        stopped = time.monotonic()
        is_serving(hub)
        assert seconds_since(stopped) < 2 * PATIENCE + SLACK
        for line in lines:
            is_timed_out(line.answer())
    headers = {"Content-Type": "application/octet-stream"}
    assert hub.http.put(path, content=chunk, headers=headers).status_code == 201


def test_row_20_a_slow_line_that_moves_is_waited_for(hub: HubAtWork) -> None:
    padding = b" " * (3 * PATIENCE * 20_000 - len(ENVELOPE))
    body = ENVELOPE + padding
    line = Line(
        hub,
        "POST /api/v1/upload/insight HTTP/1.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    started = time.monotonic()
    for at in range(0, len(body), 10_000):
        # 20 kB a second, by the clock of a line that never answers before its time.
        pause = started + at / 20_000 - time.monotonic()
        assert not select.select([line.socket], [], [], max(0, pause))[0]
        line.send(body[at : at + 10_000])
    assert line.answer().startswith(b"HTTP/1.1 201")
    assert seconds_since(started) > 2 * PATIENCE
    line.close()


def test_row_20_a_body_of_unknown_length_is_refused_at_once(hub: HubAtWork) -> None:
    lines = [
        Line(
            hub,
            f"POST /api/v1/{path} HTTP/1.1",
            f"Content-Type: {media_type}",
            "Transfer-Encoding: chunked",
            "X-Odavl-Type: analysis-results",
        )
        for path, media_type in (
            ("upload/insight", "application/json"),
            ("upload/insight", "application/octet-stream"),
            ("projects", "application/json"),
        )
    ]
    started = time.monotonic()
    for line in lines:
        line.send(b"5\r\nabcde\r\n")
        assert line.socket.recv(12)[9:10] == b"4"
        line.close()
    assert seconds_since(started) < PATIENCE


def test_row_20_a_body_that_ends_too_early_is_told_so(hub: HubAtWork) -> None:
    line = Line(
        hub,
        "POST /api/v1/upload/insight HTTP/1.1",
        "Content-Type: application/json",
        "Content-Length: 100000",
    )
    line.send(ENVELOPE)
    line.socket.shutdown(socket.SHUT_WR)
    answer = line.answer()
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b"ends before its announced length" in answer
    line.close()
