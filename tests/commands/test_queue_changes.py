"""sync queue --clear, --drop and --retry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from odavl.hub.queue.items import QueuedUpload
from odavl.hub.queue.store import UploadQueue
from odavl.wire.errors import InvalidPayload
from tests.client.fixtures import Odavl, on_a_terminal
from tests.client.queued import enqueue
from tests.client.small_hub import TOKEN, SmallHub, problem

HUB = "http://hub.example.com"
OTHER = "http://other.example.com"
REFUSAL = {"code": "invalid_payload", "detail": "Line 4 is wrong.", "retryable": False}


def refused(home: Path, **changes: object) -> QueuedUpload:
    told = {"state": "refused", "attempts": 1, "lastError": REFUSAL, **changes}
    return enqueue(home, HUB, **told)


def items(home: Path) -> list[QueuedUpload]:
    return UploadQueue(home).content().items


def test_ids_are_shown_and_what_can_be_done(odavl: Odavl, home: Path) -> None:
    item = refused(home)
    result = odavl("sync", "queue")
    assert f"  {item.id[:8]}  refused  insight analysis-results /p/0.json: Line 4" in result.stdout
    assert "--retry ID, --drop ID" in result.stderr


def test_single_ones_are_dropped(odavl: Odavl, home: Path) -> None:
    kept, gone, other = enqueue(home, HUB), enqueue(home, HUB), refused(home)
    result = odavl("sync", "queue", "--drop", gone.id[:8].upper(), "--drop", other.id)
    assert (result.stdout, result.stderr) == ("", "Dropped 2 queued uploads.\n")
    assert items(home) == [kept]
    assert [path.name for path in UploadQueue(home).blobs_folder.iterdir()] == [kept.id]


def test_what_was_refused_is_tried_again(odavl: Odavl, home: Path, small_hub: SmallHub) -> None:
    enqueue(home, small_hub.address)
    settings = {"ODAVL_CLOUD_API": small_hub.address, "ODAVL_API_KEY": TOKEN}
    small_hub.faults.append(problem(InvalidPayload("Line 4 is wrong.")))
    assert odavl("sync", "process-queue", **settings).returncode == 5
    result = odavl("sync", "queue", "--retry", "refused")
    assert result.stderr == "1 upload will be tried again. Now: odavl sync process-queue\n"
    [item] = items(home)
    assert (item.state, item.attempts, item.reason) == ("queued", 0, "Line 4 is wrong.")
    assert odavl("sync", "process-queue", **settings).returncode == 0
    first, second = (each.headers["idempotency-key"] for each in small_hub.uploads_seen())
    assert first != second  # the hub may keep its refusal for the first


def test_what_waits_for_its_time_is_freed_with_the_key_that_it_had(
    odavl: Odavl, home: Path
) -> None:
    item = enqueue(home, HUB, nextAttemptAt="2999-01-01T00:00:00.000000Z")
    odavl("sync", "queue", "--retry", item.id)
    [freed] = items(home)
    assert (freed.nextAttemptAt, freed.idempotencyKey) == (None, item.idempotencyKey)


def test_all_that_is_refused(odavl: Odavl, home: Path) -> None:
    kept = enqueue(home, HUB)
    ids = [refused(home).id for _ in range(2)]
    document = json.loads(odavl("sync", "queue", "--drop", "refused", "--json").stdout)
    assert document == {"dropped": ids, "retried": []}
    assert items(home) == [kept]
    again = odavl("sync", "queue", "--retry", "refused")
    assert (again.stderr, again.returncode) == ("0 uploads will be tried again.\n", 0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--drop", "abcdef"], "No queued upload has an id that begins with 'abcdef'."),
        (["--retry", "aaaa"], "2 ids begin with 'aaaa': "),
        (["--drop", "aa"], "too short"),
        (["--drop", ""], "too short"),
        (["--drop", "a" * 31 + "1", "--retry", "refused"], "cannot be dropped and tried again."),
        (["--clear", "--drop", "aaaa"], "--clear throws everything away"),
        (["--drop", "a" * 31 + "1", "--drop", "ffff"], "begins with 'ffff'"),
    ],
)
def test_what_is_not_clear_changes_nothing(
    odavl: Odavl, home: Path, arguments: list[str], told: str
) -> None:
    before = [refused(home, id="a" * 31 + digit) for digit in "12"]
    result = odavl("sync", "queue", *arguments)
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.returncode == 2
    assert items(home) == before


def test_on_a_terminal_clearing_asks(home: Path, project: Path) -> None:
    enqueue(home, HUB)
    asked = "Throw away 1 queued upload that no hub has? [y/N]: "
    seen = on_a_terminal(["sync", "queue", "--clear"], home, project, typed="\n")
    assert asked in seen
    assert "Nothing was cleared." in seen
    assert len(items(home)) == 1
    assert "Cleared 1" in on_a_terminal(["sync", "queue", "-c"], home, project, typed="y\n")
    enqueue(home, HUB)
    assert asked not in on_a_terminal(["sync", "queue", "-c", "--yes"], home, project)
    assert items(home) == []


def test_uploads_for_several_hubs_are_counted_by_hub(odavl: Odavl, home: Path) -> None:
    for hub in (HUB, HUB, OTHER):
        enqueue(home, hub)
    result = odavl("sync", "queue", ODAVL_CLOUD_API=HUB)
    assert f"For:    {HUB} (2), {OTHER} (1)" in result.stdout
    assert result.stderr.splitlines() == [
        "Send them: odavl sync process-queue",
        f"Send those for {OTHER}: odavl sync process-queue --hub {OTHER}",
    ]
    by_hub = json.loads(odavl("sync", "queue", "--json").stdout)["byHub"]
    assert by_hub == {HUB: 2, OTHER: 1}


def test_many_failures_are_not_listed_without_a_word(
    odavl: Odavl, home: Path, small_hub: SmallHub
) -> None:
    for _ in range(22):
        enqueue(home, HUB)
    settings = {"ODAVL_CLOUD_API": small_hub.address, "ODAVL_API_KEY": TOKEN}
    result = odavl("sync", "process-queue", **settings)
    assert result.stderr.count("queued for") == 20
    assert result.stderr.endswith("  and 2 more (-v shows all)\n")
