from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from odavl.hub.queue.items import QueuedUpload, timestamp
from odavl.hub.queue.sending import QueueReport, process_queue
from odavl.hub.queue.store import UploadQueue
from odavl.hub.retry import ONCE
from odavl.hub.transport import HubClient
from odavl.wire.errors import (
    InvalidPayload,
    MissingScope,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    ServerFault,
)
from tests.client.queued import enqueue
from tests.client.small_hub import TOKEN, SmallHub, cut, html, lose_answer, problem


class Desk:
    """A queue, a client of the small hub, and the pauses between rounds instead of waiting."""

    def __init__(self, hub: SmallHub, home: Path) -> None:
        self.hub = hub
        self.queue = UploadQueue(home)
        self.client = HubClient(hub.address, token=TOKEN, policy=ONCE)
        self.pauses: list[float] = []

    def put(self, **changes: object) -> QueuedUpload:
        body = b"payload %d" % len(self.items())
        return enqueue(self.queue.home, self.hub.address, body, **changes)

    def run(self, rounds: int = 3) -> QueueReport:
        return process_queue(self.queue, self.client, rounds=rounds, sleep=self.pauses.append)

    def items(self) -> list[QueuedUpload]:
        return self.queue.content().items

    def payloads(self) -> list[bytes]:
        return [run.payload for run in self.hub.runs]


@pytest.fixture
def desk(small_hub: SmallHub, home: Path) -> Iterator[Desk]:
    made = Desk(small_hub, home)
    with made.client:
        yield made


def counts(report: QueueReport) -> tuple[int, int, int, int]:
    return report.processed, report.succeeded, report.failed, report.exit_code


def test_all_goes_out_oldest_first(desk: Desk) -> None:
    for _ in range(3):
        desk.put()
    assert counts(desk.run()) == (3, 3, 0, 0)
    assert desk.payloads() == [b"payload 0", b"payload 1", b"payload 2"]
    assert [run.key for run in desk.hub.runs] == ["key-0", "key-1", "key-2"]
    assert desk.items() == []
    assert list(desk.queue.blobs_folder.iterdir()) == []


def test_what_fails_is_tried_three_times_with_growing_pauses(desk: Desk) -> None:
    desk.put()
    desk.hub.faults.extend([problem(ServerFault())] * 3)
    assert counts(desk.run()) == (1, 0, 1, 3)
    assert len(desk.pauses) == 2
    assert 0 <= desk.pauses[0] <= 1
    assert 0 <= desk.pauses[1] <= 5
    [item] = desk.items()
    assert (item.attempts, item.state) == (3, "queued")
    assert item.nextAttemptAt is not None
    assert item.lastAttemptAt is not None
    assert item.nextAttemptAt > item.lastAttemptAt
    assert desk.run().succeeded == 1


def test_only_what_failed_is_sent_again(desk: Desk) -> None:
    desk.put(), desk.put()
    desk.hub.faults.append(problem(ServerFault()))
    assert desk.run().succeeded == 2
    assert desk.payloads() == [b"payload 1", b"payload 0"]


def test_what_the_hub_took_before_the_answer_was_lost_is_not_doubled(desk: Desk) -> None:
    desk.put()
    desk.hub.faults.append(lose_answer)
    assert desk.run().succeeded == 1
    assert desk.payloads() == [b"payload 0"]


def test_a_hub_that_is_away_costs_one_try_a_round(desk: Desk) -> None:
    for _ in range(4):
        desk.put()
    desk.hub.faults.extend([cut] * 3)
    assert counts(desk.run()) == (4, 0, 4, 3)
    assert len(desk.hub.uploads_seen()) == 3
    assert [item.attempts for item in desk.items()] == [1, 1, 1, 0]


def test_a_captive_portal_takes_nothing(desk: Desk) -> None:
    desk.put()
    desk.hub.faults_anywhere.extend([html(200)] * 3)
    assert desk.run().succeeded == 0
    assert len(desk.items()) == 1


def test_what_is_refused_is_kept_named_and_not_tried_again(desk: Desk) -> None:
    desk.put(), desk.put()
    desk.hub.faults.append(problem(InvalidPayload("Line 4 is wrong.")))
    report = desk.run()
    assert counts(report) == (2, 1, 1, 5)
    [item] = desk.items()
    assert (item.state, item.attempts) == ("refused", 1)
    again = desk.run()
    assert counts(again) == (0, 0, 0, 0)
    assert [each.error.detail for each in again.set_aside] == ["Line 4 is wrong."]
    assert desk.queue.blob_path(item).exists()


def test_what_is_held_costs_no_attempt_and_goes_out_once_it_may(desk: Desk) -> None:
    desk.put()
    desk.hub.faults.append(problem(QuotaExceeded("Ten of ten.")))
    assert counts(desk.run()) == (1, 0, 1, 4)
    [item] = desk.items()
    assert (item.state, item.attempts) == ("held", 0)
    assert counts(desk.run()) == (1, 1, 0, 0)


def test_a_wrong_key_ends_the_round(desk: Desk) -> None:
    desk.put(), desk.put()
    desk.hub.faults.append(problem(NotAuthenticated("Who?")))
    assert counts(desk.run()) == (2, 0, 2, 4)
    assert len(desk.hub.uploads_seen()) == 1


def test_another_hubs_upload_is_not_sent_to_this_one(desk: Desk) -> None:
    item = desk.put(hub="https://other.example.com")
    report = desk.run()
    assert counts(report) == (1, 0, 1, 4)
    assert "https://other.example.com" in report.failures[0].error.detail
    assert desk.hub.seen == []
    assert desk.items() == [item]


def test_the_organization_it_was_queued_for_is_named(desk: Desk) -> None:
    desk.put(organizationId="org-7")
    desk.run()
    assert desk.hub.uploads_seen()[0].headers["x-organization-id"] == "org-7"


def test_a_long_retry_after_is_obeyed_by_later_calls_too(desk: Desk) -> None:
    desk.put()
    desk.hub.faults.append(problem(RateLimited(), Retry_After="3600"))
    assert counts(desk.run()) == (1, 0, 1, 3)
    assert desk.pauses == []
    assert counts(desk.run()) == (1, 0, 1, 3)
    assert len(desk.hub.uploads_seen()) == 1
    [item] = desk.items()
    past = timestamp(datetime.now(UTC) - timedelta(seconds=1))
    desk.queue.update(item._replace(nextAttemptAt=past))
    desk.queue.index.unlink()
    assert desk.run().succeeded == 1


def test_a_short_retry_after_is_waited_for(desk: Desk) -> None:
    desk.put()
    desk.hub.faults.append(problem(RateLimited(), Retry_After="9"))
    assert desk.run().succeeded == 1
    assert 7 <= desk.pauses[0] <= 11


def test_what_no_hub_takes_does_not_stand_before_the_others(desk: Desk) -> None:
    desk.put(), desk.put()
    desk.hub.faults.append(html(403))  # a filter on the way that dislikes the first
    assert desk.run(rounds=1).succeeded == 0
    assert desk.run(rounds=1).succeeded == 2
    assert desk.payloads() == [b"payload 1", b"payload 0"]


def test_a_hub_that_asks_to_wait_is_asked_once(desk: Desk) -> None:
    for _ in range(3):
        desk.put()
    desk.hub.faults.append(problem(RateLimited(), Retry_After="3600"))
    assert counts(desk.run()) == (3, 0, 3, 3)
    assert len(desk.hub.uploads_seen()) == 1
    assert desk.pauses == []


def test_what_is_held_holds_its_like_and_nothing_else(desk: Desk) -> None:
    desk.put(), desk.put(), desk.put(type="sarif"), desk.put(metadata={"projectName": "other"})
    desk.hub.faults.append(problem(MissingScope("insight:write")))
    assert counts(desk.run()) == (4, 2, 2, 4)
    assert len(desk.hub.uploads_seen()) == 3
    assert [(item.state, item.attempts) for item in desk.items()] == [("held", 0), ("queued", 0)]


def test_what_is_smaller_may_fit_where_a_larger_one_did_not(desk: Desk) -> None:
    desk.put(size=99), desk.put(size=98)
    desk.hub.faults.append(problem(QuotaExceeded("5 bytes are left.")))
    assert desk.run().succeeded == 1


def test_only_what_is_chosen_is_sent_and_counted(desk: Desk) -> None:
    desk.put(), desk.put()
    chosen = desk.items()[1]
    report = process_queue(desk.queue, desk.client, choose=lambda item: item.id == chosen.id)
    assert counts(report) == (1, 1, 0, 0)
    assert desk.payloads() == [b"payload 1"]


def test_how_far_it_is_can_be_followed(desk: Desk) -> None:
    desk.put(), desk.put()
    told: list[tuple[str, float]] = []
    process_queue(desk.queue, desk.client, on_progress=lambda *each: told.append(each))
    assert told == [("sending 1 of 2", 0.0), ("sending 2 of 2", 0.5)]


def test_no_time_of_a_clock_that_was_wrong_holds_for_ever(desk: Desk) -> None:
    item = desk.put()
    future, past = (timestamp(datetime.now(UTC) + sign * timedelta(days=400)) for sign in (1, -1))
    for last, following in ((future, future), (past, future)):
        asked = {"code": "rate_limited", "detail": "", "retryAfter": 60}
        desk.queue.change([item._replace(lastAttemptAt=last, nextAttemptAt=following,
                                         lastError=asked)])  # fmt: skip
        desk.hub.faults.append(problem(ServerFault()))
        assert desk.run(rounds=1).failures[0].error.code == "internal_error"


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_damaged_snapshot_is_refused_and_the_others_go_out(desk: Desk, damage: str) -> None:
    item = desk.put()
    desk.put()
    blob = desk.queue.blob_path(item)
    if damage == "gone":
        blob.unlink()
    else:
        blob.write_bytes(b"pay")
    assert counts(desk.run()) == (2, 1, 1, 5)
    assert desk.items()[0].state == "refused"


SEND = """
import sys
from pathlib import Path
from odavl.hub.queue.store import UploadQueue
from odavl.hub.queue.sending import process_queue
from odavl.hub.transport import HubClient
with HubClient(sys.argv[1], token=sys.argv[2]) as client:
    print(process_queue(UploadQueue(Path(sys.argv[3])), client).succeeded)
"""


def test_two_senders_at_once_send_each_item_once(desk: Desk, home: Path) -> None:
    for _ in range(10):
        desk.put()
    arguments = [sys.executable, "-c", SEND, desk.hub.address, TOKEN, str(home)]
    senders = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    sent = [int(sender.communicate(timeout=300)[0]) for sender in senders]
    assert sum(sent) == 10
    assert len(desk.hub.uploads_seen()) == 10


def test_an_upload_gives_way_to_another_sender(desk: Desk) -> None:
    desk.put()
    with desk.queue.sending(wait=True):
        report = process_queue(desk.queue, desk.client, rounds=1, wait=False)
    assert report.busy
    assert desk.hub.uploads_seen() == []


def test_killed_between_delivery_and_removal_it_makes_no_second_run(desk: Desk, home: Path) -> None:
    desk.put()
    program = SEND.replace(
        "import sys\n",
        "import os, signal, sys\n"
        "sys.addaudithook(lambda event, arguments: event == 'os.remove' and 'items' in"
        " str(arguments[0]) and os.kill(os.getpid(), signal.SIGKILL))\n",
        1,
    )
    arguments = [sys.executable, "-c", program, desk.hub.address, TOKEN, str(home)]
    assert subprocess.run(arguments, check=False, timeout=300).returncode == -9
    assert len(desk.items()) == 1
    assert desk.run().succeeded == 1
    assert desk.payloads() == [b"payload 0"]
    assert len(desk.hub.uploads_seen()) == 2
