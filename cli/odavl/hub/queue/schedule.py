"""When a queued upload may be tried again, and what is left alone until then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from odavl.hub.queue.items import QueuedUpload, timestamp
from odavl.hub.retry import LONGEST_RETRY_AFTER

LEFT_ALONE = timedelta(hours=1)
"""What is held is tried unasked as often as this: rights and quotas change rarely."""


def is_due(item: QueuedUpload, *, new_rights: bool = False) -> bool:
    """Whether ``item`` may be sent unasked; with ``new_rights`` also what waits for a person."""
    if item.state == "refused" or is_put_off(item):
        return False
    if item.state == "queued" or item.nextAttemptAt or new_rights:
        return True
    now = datetime.now(UTC)
    return not timestamp(now - LEFT_ALONE) < (item.lastAttemptAt or "") <= timestamp(now)


def is_put_off(item: QueuedUpload) -> bool:
    """Whether its next attempt lies ahead.

    A clock that was set back since the last attempt, or a time beyond what a hub may ask for, must
    not hold it for ever: neither is believed.
    """
    now = datetime.now(UTC)
    latest = timestamp(now + timedelta(seconds=LONGEST_RETRY_AFTER))
    return (item.lastAttemptAt or "") <= timestamp(now) < (item.nextAttemptAt or "") <= latest
