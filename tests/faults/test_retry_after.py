"""Row 13 of what must go wrong without harm: a hub that asks to be left alone for a while."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from odavl.hub.queue.items import timestamp
from odavl.hub.queue.store import UploadQueue
from odavl.wire.errors import QuotaExceeded, RateLimited
from tests.client.fixtures import Odavl
from tests.client.small_hub import SmallHub, problem
from tests.faults.queueing import enqueue, settings


def _in(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("told", "least"),
    [("2", 2), (600.0, None), ("soon", 0), ("-5", 0), (-9_999.0, 0)],
    ids=["seconds", "date", "garbage", "negative", "past"],
)
def test_row_13_retry_after_is_obeyed_within_bounds(
    odavl: Odavl, sarif: Path, small_hub: SmallHub, told: str | float, least: float | None
) -> None:
    enqueue(odavl, small_hub.address)
    # A number is a date so many seconds from now, and not from when the tests were collected.
    retry_after = told if isinstance(told, str) else _in(told)
    small_hub.faults.append(problem(RateLimited(), Retry_After=retry_after))
    before = time.monotonic()
    result = odavl("sync", "process-queue", **settings(small_hub))
    if least is None:  # further away than a command waits
        assert (result.returncode, len(small_hub.runs)) == (3, 0)
        again = odavl("sync", "process-queue", **settings(small_hub))
        assert "asked to wait" in again.stderr
        assert len(small_hub.uploads_seen()) == 1
    else:
        assert (result.returncode, len(small_hub.runs)) == (0, 1), result.stderr
        assert least <= time.monotonic() - before


@pytest.mark.parametrize("told", ["86400", "9" * 18, "9" * 400])
def test_row_13_an_enormous_retry_after_is_left_for_later(
    odavl: Odavl, sarif: Path, queue: UploadQueue, small_hub: SmallHub, told: str
) -> None:
    enqueue(odavl, small_hub.address)
    small_hub.faults.append(problem(RateLimited(), Retry_After=told))
    if len(told) > 18:
        small_hub.faults.extend([problem(RateLimited(), Retry_After=told)] * 2)
    assert odavl("sync", "process-queue", **settings(small_hub)).returncode == 3
    (kept,) = queue.content().items
    limit = timestamp(datetime.now(UTC) + timedelta(days=1, minutes=1))
    assert kept.nextAttemptAt is not None
    assert kept.nextAttemptAt <= limit


def test_row_13_a_spent_quota_holds_without_an_attempt(
    odavl: Odavl, sarif: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    enqueue(odavl, small_hub.address)
    before = queue.content().items[0].attempts
    small_hub.faults.append(problem(QuotaExceeded("100 of 100 calls.")))
    assert odavl("sync", "process-queue", **settings(small_hub)).returncode == 4
    (kept,) = queue.content().items
    assert (kept.state, kept.attempts) == ("held", before)
    assert "100 of 100 calls." in odavl("sync", "queue", **settings(small_hub)).stdout


# ── 14: ten thousand ─────────────────────────────────────────────────────────
