"""Row 54, the client's part: a queued upload is the same one, and the same people's, for ever."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from odavl.hub.queue.items import timestamp
from odavl.hub.queue.store import UploadQueue
from odavl.wire import limits
from odavl.wire.api_keys import new_api_key
from odavl.wire.envelope import UploadStored
from odavl.wire.errors import ServerFault
from odavl.wire.transfer import TransferStarted
from tests.client.fixtures import Odavl
from tests.client.queued import enqueue
from tests.client.small_hub import (
    KEY,
    ORGANIZATION,
    TOKEN,
    SmallHub,
    answer,
    cut,
    json_reply,
    lose_answer,
    problem,
)
from tests.faults.queueing import SARIF, settings

UPLOAD = ("insight", "import", "in.sarif", "--upload")
STARTED = TransferStarted(upload_id="upload-1", missing=[], expires_at="2100-01-01T00:00:00Z")
STORED = UploadStored(upload_id="upload-1", run_id="run-1", url="http://hub/run-1")


def sign_in(odavl: Odavl, hub: SmallHub, *, organization: str, project: str | None) -> None:
    who = {
        "user": None,
        "organization": {**ORGANIZATION, "id": organization},
        "key": {**KEY, "projectId": project},
    }
    hub.faults_anywhere.append(answer(json_reply(who)))
    done = odavl("login", "--hub", hub.address, "--token", "-", stdin=f"{TOKEN}\n")
    assert done.returncode == 0, done.stderr


def age(queue: UploadQueue, days: int) -> None:
    """As if all had been queued and tried so many days ago."""
    moment = timestamp(datetime.now(UTC) - timedelta(days=days))
    queue.change(
        item._replace(createdAt=moment, lastAttemptAt=moment, nextAttemptAt=None)
        for item in queue.content().items
    )


def identities(hub: SmallHub) -> set[tuple[str | None, ...]]:
    names = ("idempotency-key", "x-organization-id", "x-project-id")
    return {tuple(map(each.headers.get, names)) for each in hub.uploads_seen()}


@pytest.mark.parametrize("days", [0, 7, 400])
def test_row_54_a_queued_upload_keeps_its_key_organization_and_project(
    odavl: Odavl, sarif: Path, queue: UploadQueue, small_hub: SmallHub, days: int
) -> None:
    """Three answers are lost, after the hub took it in; then it waits, fails again, and waits."""
    sign_in(odavl, small_hub, organization="org-1", project="p-1")
    small_hub.faults.extend([lose_answer] * 3)
    assert odavl(*UPLOAD).returncode == 3
    for faults in ([cut] * 3, [problem(ServerFault())] * 3, []):
        age(queue, days)
        small_hub.faults.extend(faults)
        odavl("sync", "process-queue")
    assert queue.content().items == []
    ((key, organization, project),) = identities(small_hub)
    assert (organization, project) == ("org-1", "p-1")
    assert [run.key for run in small_hub.runs] == [key]


def test_row_54_so_does_one_that_travels_in_chunks(
    odavl: Odavl, project: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    """From the first announcement, over a lost end, to the last one: one identity."""
    sign_in(odavl, small_hub, organization="org-1", project="p-1")
    run = json.loads(SARIF)
    run["runs"][0]["results"] = [
        {
            "ruleId": f"rule-{number}",
            "message": {"text": f"{number} " + "x" * 3000},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": f"a{number}.py"},
                        "region": {"startLine": 1},
                    }
                }
            ],
        }
        for number in range(2 * limits.CHUNK_SIZE // 3000)
    ]
    (project / "in.sarif").write_text(json.dumps(run))
    started = answer(json_reply(STARTED, 201))
    small_hub.faults.extend([cut] * 4)
    assert odavl(*UPLOAD).returncode == 3
    age(queue, 8)
    small_hub.faults.extend([started, cut, cut, cut, cut])
    small_hub.faults.extend([started, answer(json_reply(STORED, 201))])
    assert odavl("sync", "process-queue").returncode == 0
    paths = {each.path.rpartition("/")[2] for each in small_hub.uploads_seen()}
    assert paths == {"init", "finalize"}
    ((_, organization, bound_to),) = identities(small_hub)
    assert (organization, bound_to) == ("org-1", "p-1")


def test_row_54_a_new_sign_in_carries_nothing_across(
    odavl: Odavl, sarif: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    sign_in(odavl, small_hub, organization="org-1", project=None)
    small_hub.faults.extend([cut] * 3)
    assert odavl(*UPLOAD).returncode == 3
    small_hub.seen.clear()
    sign_in(odavl, small_hub, organization="org-2", project=None)
    odavl("whoami")
    held = odavl("sync", "process-queue")
    assert held.returncode == 4
    assert "queued for the organization org-1" in held.stderr
    assert (small_hub.uploads_seen(), len(queue.content().items)) == ([], 1)
    age(queue, 1)  # what failed a moment ago is left alone for some seconds
    sign_in(odavl, small_hub, organization="org-1", project=None)
    assert queue.content().items == []
    assert len(small_hub.runs) == 1


def test_row_54_a_key_of_the_environment_sends_what_it_queued_itself(
    odavl: Odavl, home: Path, sarif: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    """Nobody knows whose it is: another one may be another organization's."""
    other = {**settings(small_hub), "ODAVL_API_KEY": new_api_key()}
    small_hub.faults_anywhere.extend([cut] * 3)
    assert odavl(*UPLOAD, **other).returncode == 3
    ours = settings(small_hub)
    held = odavl("sync", "process-queue", **ours)
    assert held.returncode == 4
    assert "queued with another key" in held.stderr
    assert small_hub.uploads_seen() == []
    (item,) = queue.content().items
    assert other["ODAVL_API_KEY"] not in json.dumps(item._asdict())
    odavl("sync", "queue", "--retry", item.id[:8])
    assert odavl("sync", "process-queue", **ours).returncode == 0
    assert len(small_hub.runs) == 1


def test_row_54_a_key_that_the_hub_does_not_know_is_nobodys(
    odavl: Odavl, sarif: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    """A wrong key, an expired or a revoked one: what it queued goes out with the right one."""
    wrong = {**settings(small_hub), "ODAVL_API_KEY": new_api_key()}
    assert odavl(*UPLOAD, **wrong).returncode == 4
    small_hub.faults_anywhere.extend([cut] * 3)
    assert odavl(*UPLOAD, **wrong).returncode == 3
    assert odavl("sync", "process-queue", **wrong).returncode == 4
    assert odavl("sync", "process-queue", **settings(small_hub)).returncode == 0
    assert (len(small_hub.runs), queue.content().items) == (2, [])


def test_row_54_what_an_older_version_queued_still_goes_out(
    odavl: Odavl, home: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    item = enqueue(home, small_hub.address)
    path = queue.items_folder / f"{item.id}.json"
    document = json.loads(path.read_text())
    for name in ("projectId", "keyDigest"):
        del document[name]
    path.write_text(json.dumps(document))
    queue.index.unlink()
    assert odavl("sync", "process-queue", **settings(small_hub)).returncode == 0
    assert [run.key for run in small_hub.runs] == [item.idempotencyKey]
