"""Rows 13 and 62: what a hub that was taken over, or has another clock, may make of its answers."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import repeat
from pathlib import Path

import brotli
import pytest

from odavl.hub.queue.store import UploadQueue
from odavl.hub.retry import ONCE
from odavl.hub.transport import LARGEST, LARGEST_ERROR, Answer, Call, HubClient
from odavl.hub.workspace.remote import Remote
from odavl.wire import limits
from odavl.wire.errors import NotTheHub, RateLimited
from odavl.wire.transfer import Chunk
from tests.client.fixtures import Odavl, command, command_environment
from tests.client.small_hub import TOKEN, Reply, SmallHub, answer, json_reply, problem
from tests.faults.queueing import enqueue, settings

Measured = Callable[..., tuple[int, str, int]]

GIBIBYTE = 1024 * limits.MEBIBYTE
ALLOWED = 90 * limits.MEBIBYTE
"""Bytes that a command may take: what it takes anyway, an answer, and what holds it."""

ZEROS = bytes(limits.MEBIBYTE)


def gzipped() -> bytes:
    return pressed(zlib.compressobj(9, zlib.DEFLATED, 31))


def deflated() -> bytes:
    return pressed(zlib.compressobj(9))


def pressed(compressor: zlib._Compress) -> bytes:
    pieces = [compressor.compress(ZEROS) for _ in range(GIBIBYTE // len(ZEROS))]
    return b"".join([*pieces, compressor.flush()])


def brotlied() -> bytes:
    compressor = brotli.Compressor(quality=4)
    pieces = [compressor.process(ZEROS) for _ in repeat(None, GIBIBYTE // len(ZEROS))]
    return b"".join([*pieces, compressor.finish()])


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": gzipped,
    "deflate": deflated,
    "br": brotlied,
    "gzip, gzip": lambda: gzip.compress(gzipped()),
    "zstd": lambda: b"(\xb5/\xfd",
}


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    return {encoding: make() for encoding, make in BOMBS.items()}


_MEASURING = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.fixture
def measured(home: Path, project: Path, small_hub: SmallHub) -> Measured:
    """Gives exit code, standard error, and the most memory in bytes of the real command.

    A small process starts it: right after a fork, a child counts with what its parent takes.
    """

    def run(*arguments: str) -> tuple[int, str, int]:
        result = subprocess.run(
            [sys.executable, "-c", _MEASURING, *command(*arguments)],
            cwd=project,
            env=command_environment(home, **settings(small_hub)),
            capture_output=True,
            text=True,
            check=True,
        )
        code, peak = map(int, result.stdout.split())
        return code, result.stderr, peak

    return run


@pytest.mark.parametrize("encoding", BOMBS)
@pytest.mark.parametrize("status", [200, 201, 500])
def test_row_62_a_bomb_is_refused_before_it_is_inflated(
    measured: Measured, small_hub: SmallHub, bombs: dict[str, bytes], encoding: str, status: int
) -> None:
    """A gibibyte of zeros, in the answer to whichever request comes first."""
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    bomb = answer(Reply(status, bombs[encoding], headers))
    small_hub.faults_anywhere.extend([bomb] * 9)
    code, told, peak = measured("whoami")
    assert (code, peak < ALLOWED) == (3, True), (told, peak)
    assert told.startswith("Error: The answer ")


def test_row_62_an_upload_is_not_lost_to_one(
    measured: Measured,
    queue: UploadQueue,
    sarif: Path,
    small_hub: SmallHub,
    bombs: dict[str, bytes],
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    small_hub.faults.extend([answer(Reply(201, bombs["gzip"], headers))] * 3)
    code, told, peak = measured("insight", "import", sarif.name, "--upload")
    assert (code, peak < ALLOWED) == (3, True), (told, peak)
    assert len(queue.content().items) == 1


def sent(hub: SmallHub, reply: Reply, call: Call | None = None) -> Answer:
    hub.faults_anywhere.append(answer(reply))
    with HubClient(hub.address, token=TOKEN, policy=ONCE) as client:
        return client.send(call or Call(method="GET", path="/auth/whoami"))


def test_row_62_only_what_is_bounded_is_offered(small_hub: SmallHub) -> None:
    sent(small_hub, json_reply({}))
    assert small_hub.seen[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("size", [0, 1, LARGEST, LARGEST + 1])
@pytest.mark.parametrize("is_gzipped", [True, False])
def test_row_62_the_bound_is_where_it_is_said(
    small_hub: SmallHub, size: int, *, is_gzipped: bool
) -> None:
    body = b"1" * size
    headers = {"Content-Type": "application/json"}
    if is_gzipped:
        # Several members after one another are one body.
        body = gzip.compress(body[: size // 2]) + gzip.compress(body[size // 2 :])
        headers["Content-Encoding"] = "gzip"
    if size > LARGEST:
        with pytest.raises(NotTheHub, match="larger than any"):
            sent(small_hub, Reply(200, body, headers))
    else:
        assert sent(small_hub, Reply(200, body, headers)).body == b"1" * size


def test_row_62_an_error_is_shorter_than_an_answer(small_hub: SmallHub) -> None:
    headers = {"Content-Type": "application/problem+json"}
    with pytest.raises(NotTheHub, match="larger than any"):
        sent(small_hub, Reply(500, b" " * (LARGEST_ERROR * 2), headers))


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"{}", mtime=0)[:-1],
        gzip.compress(b"{}", mtime=0) + b"junk",
        b"{}",
        gzip.compress(b"{}" * 99, mtime=0)[:16],
    ],
    ids=["without its end", "with junk behind", "plain", "cut"],
)
def test_row_62_a_damaged_body_is_no_answer(small_hub: SmallHub, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with pytest.raises(NotTheHub):
        sent(small_hub, Reply(200, body, headers))


def test_row_62_a_chunk_of_a_workspace_is_no_longer_than_it_was_named(
    small_hub: SmallHub, bombs: dict[str, bytes]
) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    small_hub.faults_anywhere.extend([answer(Reply(200, bombs["gzip"], headers))] * 9)
    with HubClient(small_hub.address, token=TOKEN, sleep=lambda _seconds: None) as client:
        remote = Remote(client, "p-1")
        with pytest.raises(NotTheHub, match="larger than any"):
            remote.get(Chunk("0" * 64, 3))


@pytest.mark.parametrize("ahead", [timedelta(hours=-5), timedelta(hours=5)])
def test_row_13_a_date_is_meant_by_the_clock_that_wrote_it(
    odavl: Odavl, sarif: Path, queue: UploadQueue, small_hub: SmallHub, ahead: timedelta
) -> None:
    """The hub's clock, or ours, is five hours off; it asks for ten minutes all the same."""
    enqueue(odavl, small_hub.address)
    theirs = datetime.now(UTC) + ahead
    again = format_datetime(theirs + timedelta(minutes=10), usegmt=True)
    now = format_datetime(theirs, usegmt=True)
    small_hub.faults.append(problem(RateLimited(), Retry_After=again, Date=now))
    before = datetime.now(UTC)
    assert odavl("sync", "process-queue", **settings(small_hub)).returncode == 3
    (kept,) = queue.content().items
    assert kept.lastError is not None
    assert kept.lastError["retryAfter"] == 600
    assert kept.nextAttemptAt is not None
    moment = datetime.fromisoformat(kept.nextAttemptAt)
    assert before + timedelta(minutes=10) <= moment <= datetime.now(UTC) + timedelta(minutes=10)
