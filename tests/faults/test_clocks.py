"""Row 56 of what must go wrong without harm: web host, worker and relay whose clocks are wrong."""

from __future__ import annotations

import gzip
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.hub_at_work import cursor_on, payload
from tests.faults.versions import MAKE_KEY, Version, between_two_looks, deployment
from tests.insight.documents import envelope

pytestmark = pytest.mark.end_to_end
WRONG_BY = 30.0
"""Seconds; more than a lease, and than the time after which a message counts as lost."""
AHEAD_OR_BEHIND = pytest.mark.parametrize("ahead", [WRONG_BY, -WRONG_BY], ids=["ahead", "behind"])


class Hub:
    """One of separate processes, whose database has the right time."""

    def __init__(self, version: Version, database_url: str) -> None:
        self.version = version
        self.database_url = database_url

    def asked(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with cursor_on(self.database_url) as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def uploaded(self, branch: str) -> str:
        """The job of a payload that a worker takes in."""
        document = gzip.decompress(payload(5, 2_500, branch))
        metadata = {"projectName": "shop", "branch": branch}
        answer = self.version.post("/upload/insight", envelope(document, metadata=metadata), 202)
        return str(answer["jobId"])


@pytest.fixture
def hub(tmp_path: Path, ahead: float) -> Iterator[Hub]:
    """Web and relay are wrong by ``ahead``, workers by as much the other way; none runs but web."""
    with deployment(tmp_path) as found:
        version = found.new
        version.seconds_ahead = {"web": ahead, "relay": ahead, "worker": -ahead}
        version.manage("migrate", "--no-input", "-v", "0")
        key = version.program(MAKE_KEY).strip()
        version.start("web")
        version.open(key)
        yield Hub(version, found.database_url)


@AHEAD_OR_BEHIND
def test_row_56_wrong_clocks_change_no_claim_lease_or_schedule(hub: Hub, ahead: float) -> None:
    version = hub.version
    version.start("worker")
    # No relay runs, so it is the first message that is taken up.
    first = hub.uploaded("first")
    assert version.wait(first, lambda job: job["finishedAt"])["attempts"] == 1

    leased = hub.asked("SELECT count(*) FROM jobs_job WHERE run_at > now() OR created_at > now()")
    assert leased == [(0,)]

    lost = lost_in_the_middle(hub)
    version.start("relay")
    version.start("worker")
    assert version.wait(lost, lambda job: job["finishedAt"])["attempts"] == 2
    schedule_is_by_the_database(hub)


def lost_in_the_middle(hub: Hub) -> str:
    """A job whose worker was killed; its lease has ended."""
    lost = hub.uploaded("lost")
    hub.version.wait(lost, lambda job: job["startedAt"])
    worker = hub.version.running.pop("worker")
    worker.process.send_signal(signal.SIGKILL)
    worker.stop()
    hub.asked(
        "UPDATE jobs_job SET state = 'active', attempts = 1, finished_at = NULL,"
        " lease_expires_at = now() - interval '1 s' WHERE id = %s",
        lost,
    )
    return lost


def schedule_is_by_the_database(hub: Hub) -> None:
    """Each periodic task is due within its interval from now, and none of them twice."""
    hub.asked("UPDATE jobs_periodicrun SET due_at = now()")
    while hub.asked("SELECT 1 FROM jobs_periodicrun WHERE due_at <= now()"):
        between_two_looks()
    late = hub.asked("SELECT name FROM jobs_periodicrun WHERE due_at > now() + interval '1 h'")
    assert late == []
    twice = hub.asked(
        "SELECT type FROM jobs_job WHERE organization_id IS NULL AND state IN"
        " ('waiting', 'active', 'delayed') GROUP BY type HAVING count(*) > 1"
    )
    assert twice == []


@AHEAD_OR_BEHIND
def test_row_56_wrong_clocks_change_no_expiry(hub: Hub, ahead: float) -> None:
    version = hub.version
    wanted = {
        "type": "analysis-results",
        "size": 3,
        "sha256": "a" * 64,
        "chunks": [{"sha256": "b" * 64, "size": 3}],
        "metadata": {"projectName": "shop", "branch": "main"},
    }
    version.post("/upload/insight/init", wanted, 201)
    file = {"fileName": "a.txt", "contentType": "text/plain", "size": 3, "expiresIn": 600}
    version.post("/storage/upload-url", file, 201)
    for table, column, lives in (
        ("uploads_transfer", "expires_at", "24 h"),
        ("storage_storedfile", "upload_until", "600 s"),
    ):
        found = hub.asked(
            f"SELECT extract(epoch FROM {column} - now() - interval '{lives}')::float FROM {table}"
        )
        # Never by half of what the clock is wrong, however long this took.
        assert -WRONG_BY / 2 < found[0][0] <= 0, (table, found)

    hub.asked("UPDATE accounts_apikey SET expires_at = now() + interval '25 s'")
    assert version.http.get("/auth/whoami").status_code == 200
    hub.asked("UPDATE accounts_apikey SET expires_at = now() - interval '1 s'")
    assert version.http.get("/auth/whoami").status_code == 401
