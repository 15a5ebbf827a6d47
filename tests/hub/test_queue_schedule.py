"""What may be sent unasked, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from odavl.hub.queue.items import QueuedUpload, State, timestamp
from odavl.hub.queue.sending import is_due
from tests.client.queued import enqueue


def hours(count: float) -> str:
    return timestamp(datetime.now(UTC) + timedelta(hours=count))


@pytest.mark.parametrize(
    ("state", "last", "following", "due"),
    [
        ("queued", None, None, True),
        ("queued", -1, -0.5, True),
        ("queued", -1, 0.5, False),
        ("queued", -1, 25, True),  # beyond what a hub may ask for
        ("queued", 1, 2, True),  # the clock was set back
        ("held", -0.5, None, False),
        ("held", -2, None, True),
        ("held", 2, None, True),  # the clock was set back
        ("held", -2, 3, False),
        ("held", -0.5, -0.1, True),
        ("refused", -9, None, False),
    ],
)
def test_when_it_is_due(
    home: Path, state: State, last: float | None, following: float | None, due: bool
) -> None:
    assert is_due(tried(home, state, last, following)) == due


def test_new_rights_free_what_waited_for_them_and_nothing_else(home: Path) -> None:
    assert is_due(tried(home, "held", -0.1, None), new_rights=True)
    assert not is_due(tried(home, "held", -0.1, 1), new_rights=True)
    assert not is_due(tried(home, "refused", -0.1, None), new_rights=True)


def tried(home: Path, state: State, last: float | None, following: float | None) -> QueuedUpload:
    return enqueue(home, "http://hub")._replace(
        state=state,
        lastAttemptAt=None if last is None else hours(last),
        nextAttemptAt=None if following is None else hours(following),
    )
